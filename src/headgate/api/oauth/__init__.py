"""What clients ask an authorization server: discovery, tokens, logins, and the secrets and keys behind them."""
