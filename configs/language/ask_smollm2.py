# Words to requests by SmolLM2-135M-Instruct, frozen, with one adapter: hours on a CPU core (estimated).
# Its folder is made once, from the repository's root: python tools/get_language_model.py smollm2
_base_ = [
    "../_base_/language/requests.py",
    "../_base_/language/adapter.py",
    "../_base_/language/schedule.py",
]

model = dict(
    # BOS, which is put in front, is <|im_start|>
    prompt="system\nWrite the request about the road map. Classes: {classes}.<|im_end|>\n"
    "<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n",
    language_model=dict(
        pretrained="weights/smollm2",
        architecture=dict(  # what a plan builds where the folder is not there
            model_type="llama",
            vocab_size=49152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            tie_word_embeddings=True,
        ),
    ),
)
