"""What all SDKs are asked, and what they should hear."""

AWS = ("AKIASIMULATED0000000", "secret/of+the/simulated+account")
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
BOTH = "What is the weather in Paris and the time in Tokyo?"
CALLS = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Tokyo"})]
LONG = "You are a patient railway clerk. " * 40
