# Vicuna-7B: where it comes from, and what is built where there are no files.
vicuna = "lmsys/vicuna-7b-v1.5"
vicuna_architecture = dict(
    model_type="llama",
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=11008,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
    max_position_embeddings=4096,
)
