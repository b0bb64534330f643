"""The dialect of Anthropic's Messages API: chat/completions in, Messages out, and back."""
