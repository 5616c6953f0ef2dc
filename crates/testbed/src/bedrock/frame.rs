//! The binary event stream of AWS: frames with checksums.

/// The checksum of the IEEE polynomial, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xEDB8_8320
            } else {
                sum >> 1
            };
        }
    }
    !sum
}

/// A frame with text headers.
pub(super) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    const TEXT: u8 = 7;
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend(name.bytes());
        head.push(TEXT);
        head.extend((value.len() as u16).to_be_bytes());
        head.extend(value.bytes());
    }
    let mut out = Vec::new();
    out.extend((16 + head.len() as u32 + payload.len() as u32).to_be_bytes());
    out.extend((head.len() as u32).to_be_bytes());
    out.extend(crc32(&out).to_be_bytes());
    out.extend(head);
    out.extend(payload);
    out.extend(crc32(&out).to_be_bytes());
    out
}

/// An event.
pub(super) fn event(kind: &str, payload: &serde_json::Value) -> Vec<u8> {
    let headers = [
        (":event-type", kind),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    frame(&headers, payload.to_string().as_bytes())
}

/// What goes wrong in the middle of a stream.
pub(super) fn exception(kind: &str, message: &str) -> Vec<u8> {
    let headers = [
        (":exception-type", kind),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    ];
    let payload = serde_json::json!({"message": message});
    frame(&headers, payload.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_lengths_are_those_of_aws() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        // The example of the documentation of event streams: an empty message.
        assert_eq!(
            frame(&[], b""),
            [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255]
        );
    }
}
