"""An official SDK each: how it asks, and how its answer reads."""

from clients import anthropic_messages, bedrock_converse, cohere_chat, gemini, openai_chat, openai_responses

CLIENTS = {
    "openai-chat": openai_chat.Client,
    "openai-responses": openai_responses.Client,
    "anthropic-messages": anthropic_messages.Client,
    "gemini": gemini.Client,
    "bedrock-converse": bedrock_converse.Client,
    "cohere-chat": cohere_chat.Client,
}
