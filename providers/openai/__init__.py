"""The OpenAI dialect: OpenAI itself, Groq, OpenRouter, vLLM, llama.cpp and every server that speaks like them."""
