# SmolLM2-135M-Instruct: its folder is made once, from the repository's root, by
# python tools/get_language_model.py smollm2; the architecture is what a plan builds where it is not there.
smollm2 = "weights/smollm2"
smollm2_architecture = dict(
    model_type="llama",
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=8192,
    tie_word_embeddings=True,
)
