# Words to requests by Vicuna-7B, frozen, with one adapter: a model file of 50 MB.
# Meant for one card of 24 GB.
_base_ = [
    "../_base_/language/requests.py",
    "../_base_/language/adapter.py",
    "../_base_/language/schedule.py",
]

model = dict(
    prompt="USER: Write the request about the road map. Classes: {classes}. Sentence: {text} ASSISTANT:",
    language_model=dict(
        pretrained="lmsys/vicuna-7b-v1.5",
        gradient_checkpointing=True,
        lora=dict(targets=["q_proj", "k_proj", "v_proj"]),
        architecture=dict(
            model_type="llama",
            vocab_size=32000,
            hidden_size=4096,
            intermediate_size=11008,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=32,
            max_position_embeddings=4096,
        ),
    ),
)
