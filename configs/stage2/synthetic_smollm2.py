# A pretrained small language model, frozen, decodes the demo's map: SmolLM2-135M-Instruct.
# Its folder is made once, from the repository's root: python tools/get_language_model.py smollm2
_base_ = ["./synthetic.py"]

model = dict(
    decoder=dict(
        pretrained="weights/smollm2",
        frozen=True,
        dtype="bfloat16",
        architecture=dict(  # what a plan builds where the folder is not there
            vocab_size=49152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
        ),
    ),
)
