//! Token counts as Bedrock Converse tells them.
