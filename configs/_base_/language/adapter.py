# A pretrained language model, frozen, with one adapter in it; a leaf says which, and its form of a chat.
model = dict(
    type="RequestParser",
    language_model=dict(
        type="LanguageModel",
        frozen=True,
        dtype="bfloat16",
        lora=dict(rank=16, alpha=32, targets=["q_proj", "k_proj", "v_proj", "o_proj"]),
    ),
)
