"""Amazon Bedrock: Converse for chat and completions, InvokeModel for embeddings, signed by hand (SigV4), streams in AWS's binary framing."""
