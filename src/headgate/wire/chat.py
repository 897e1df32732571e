"""The middle language on the wire: what must be known of a chat, completions, embeddings or Responses body without parsing all of it.

Asked by the gateway (route, stream, reservations) and by the OpenAI-compatible vendors. Message trees are skipped, never built.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from headgate.errors import InvalidParameterValue, MalformedRequest

_NOTHING = msgspec.Raw(b"")


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class Head(msgspec.Struct, frozen=True):
    """The fields of a request somebody on the way must know; `Raw` ones are given as they stand, empty when absent."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    client_request_id: str | None = None
    usage_context: msgspec.Raw = _NOTHING
    extra_params: msgspec.Raw = _NOTHING
    messages: msgspec.Raw = _NOTHING
    prompt: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    encoding_format: msgspec.Raw = _NOTHING

    @property
    def includes_usage(self) -> bool:
        """Whether the client asked for the stream's last chunk that says what was used."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def most_output_tokens(self) -> int | None:
        """What the client allows the model to say, by whichever name."""
        return self.max_completion_tokens or self.max_output_tokens or self.max_tokens


_head = msgspec.json.Decoder(Head)
_T = TypeVar("_T")


def read_head(body: bytes | bytearray) -> Head:
    """What a request says of itself. Raises MalformedRequest for what is no JSON object, InvalidParameterValue for a field of a wrong type."""
    return decoded(_head, body)


def decoded(decoder: msgspec.json.Decoder[_T], body: bytes | bytearray) -> _T:
    """The body by this decoder, its complaints as errors a client can be shown."""
    try:
        if not body.isascii():
            # What the decoder skips it does not look at.
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if " - at " not in str(error):
            raise MalformedRequest("The request body is not a JSON object.") from error
        raise InvalidParameterValue(f"Bad request: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRequest(f"The request body is not valid JSON: {error}") from error
