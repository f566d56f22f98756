# Words to requests by a tiny LLaMA on bytes, from scratch in half an hour on a CPU: the control without a
# pretrained language model.
_base_ = ["../_base_/language/requests.py", "../_base_/language/schedule.py"]

model = dict(
    type="RequestParser",
    prompt="{text} = ",
    max_tokens=240,
    language_model=dict(
        type="LanguageModel",
        frozen=False,
        architecture=dict(
            model_type="llama",
            vocab_size=259,  # of bytes, which are the tokens of a language model without files
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
        ),
    ),
)
train_dataloader = dict(batch_size=16, dataset=dict(count=16000))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
