//! AWS's published test vectors, and the codec's properties.

use proptest::prelude::*;

use super::*;

/// The bytes of each published message, and what it says.
fn published() -> Vec<(&'static [u8], Message)> {
    let header = |name: &'static str, value: HeaderValue| vec![(Text::from_static(name), value)];
    let string = |text: &'static str| HeaderValue::String(Text::from_static(text));
    let message = |headers: Vec<(Text, HeaderValue)>, payload: &'static [u8]| Message {
        headers,
        payload: Bytes::from_static(payload),
    };
    vec![
        (b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff", Message::default()),
        (
            b"\x00\x00\x00\x17\x00\x00\x00\x07)\x86\x01X\x04byte\x02\xff\xc2\xf8i\xdc",
            message(header("byte", HeaderValue::Byte(-1)), b""),
        ),
        (
            b"\x00\x00\x00\x19\x00\x00\x00\tq\x0e\x92>\x05short\x03\xff\xff\xb2|\xb6\xcc",
            message(header("short", HeaderValue::Short(-1)), b""),
        ),
        (
            b"\x00\x00\x00\x1d\x00\x00\x00\r\x83\xe3\xf0\xe7\x07integer\x04\xff\xff\xff\xff\x8b\x8e\x12\xeb",
            message(header("integer", HeaderValue::Integer(-1)), b""),
        ),
        (
            b"\x00\x00\x00\x1e\x00\x00\x00\x0e]J\xdb\x8d\x04long\x05\xff\xff\xff\xff\xff\xff\xff\xffK\xc22\xda",
            message(header("long", HeaderValue::Long(-1)), b""),
        ),
        (
            b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96",
            message(Vec::new(), b"{'foo':'bar'}"),
        ),
        (
            b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
            message(header("content-type", string("application/json")), b"{'foo':'bar'}"),
        ),
        (
            b"\x00\x00\x00+\x00\x00\x00\x0e4\x8b\xec{\x08event-id\x04\x00\x00\xa0\x0c{'foo':'bar'}\xd3\x89\x02\x85",
            message(header("event-id", HeaderValue::Integer(0xa00c)), b"{'foo':'bar'}"),
        ),
        (
            b"\x00\x00\x00\x62\x00\x00\x00\x52\x03\xb5\xcb\x9c\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00\x03\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05\x016\x06\x00\x05bytes\x017\x07\x00\x04utf8\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef\x63\x35\x36\x71",
            message(every_type(), b""),
        ),
        (
            b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e\x0d:message-type\x07\x00\x05error\x0b:error-code\x07\x00\x04code\x0e:error-message\x07\x00\x07message\x6b\x6c\xea\x3d",
            message(
                [(":message-type", "error"), (":error-code", "code"), (":error-message", "message")]
                    .map(|(name, text)| (Text::from_static(name), string(text)))
                    .to_vec(),
                b"",
            ),
        ),
    ]
}

fn every_type() -> Vec<(Text, HeaderValue)> {
    let values = [
        HeaderValue::Boolean(true),
        HeaderValue::Boolean(false),
        HeaderValue::Byte(2),
        HeaderValue::Short(3),
        HeaderValue::Integer(4),
        HeaderValue::Long(5),
        HeaderValue::Bytes(Bytes::from_static(b"bytes")),
        HeaderValue::String(Text::from_static("utf8")),
        HeaderValue::Timestamp(8),
        HeaderValue::Uuid(*b"0123456789abcdef"),
    ];
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| (Text::from(index.to_string()), value))
        .collect()
}

fn decode(pieces: &[&[u8]]) -> Result<Vec<Message>, EventStreamError> {
    let mut decoder = EventStreamDecoder::default();
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece), &mut messages)?;
    }
    Ok(messages)
}

fn write(message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    let headers: Vec<(&str, HeaderValue)> = message
        .headers
        .iter()
        .map(|(name, value)| (&**name, value.clone()))
        .collect();
    write_message(&headers, &message.payload, &mut out).unwrap();
    out
}

#[test]
fn published_messages_are_read_and_written() {
    for (bytes, message) in published() {
        assert_eq!(decode(&[bytes]), Ok(vec![message.clone()]), "{message:?}");
        assert_eq!(write(&message), bytes, "{message:?}");
    }
}

#[test]
fn published_corruptions_are_refused() {
    let cases: [(&[u8], EventStreamError); 5] = [
        // The length of the headers, the headers, the length, the payload, a header that comes twice.
        (
            b"\x00\x00\x00=\xFF\x00\x01\x02\x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
            EventStreamError::Checksum,
        ),
        (
            b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent+type\x07\x00\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
            EventStreamError::Checksum,
        ),
        (
            b"\x01\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96",
            EventStreamError::Checksum,
        ),
        (
            b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'\x8d\xc3e96",
            EventStreamError::Checksum,
        ),
        (
            b"\x00\x00\x00\x24\x00\x00\x00\x14\x4b\xb9\x82\xd0\x04test\x04asdf\x04test\x04asdf\xf3\xf4\x75\x63",
            EventStreamError::Headers,
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(&[bytes]), Err(error), "{bytes:?}");
    }
}

#[test]
fn a_length_that_cannot_be_is_refused_before_it_is_waited_for() {
    for (total, headers) in [
        (15, 0),
        (16, 1),
        (MAX_MESSAGE as u32 + 1, 0),
        (u32::MAX, 0),
        (400_000, 200_000),
    ] {
        let mut prelude = BytesMut::new();
        prelude.put_u32(total);
        prelude.put_u32(headers);
        prelude.put_u32(crc32fast::hash(&prelude));
        assert_eq!(
            decode(&[&prelude]),
            Err(EventStreamError::Length),
            "{total} {headers}"
        );
    }
}

#[test]
fn a_message_that_is_too_large_is_not_written() {
    let mut out = BytesMut::from("before");
    let written = write_message(&[], &vec![0; MAX_MESSAGE], &mut out);
    assert_eq!(
        (written, &out[..]),
        (Err(EventStreamError::Length), &b"before"[..])
    );
    let long = "n".repeat(256);
    let written = write_message(&[(&long, HeaderValue::Boolean(true))], b"", &mut out);
    assert_eq!(
        (written, &out[..]),
        (Err(EventStreamError::Headers), &b"before"[..])
    );
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        any::<bool>().prop_map(HeaderValue::Boolean),
        any::<i8>().prop_map(HeaderValue::Byte),
        any::<i16>().prop_map(HeaderValue::Short),
        any::<i32>().prop_map(HeaderValue::Integer),
        any::<i64>().prop_map(HeaderValue::Long),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
        ".{0,9}".prop_map(|text| HeaderValue::String(text.into())),
        any::<i64>().prop_map(HeaderValue::Timestamp),
        any::<[u8; 16]>().prop_map(HeaderValue::Uuid),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let headers = proptest::collection::btree_map("[a-zé:-]{1,9}", header_value(), 0..5);
    (headers, proptest::collection::vec(any::<u8>(), 0..99)).prop_map(|(headers, payload)| Message {
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
        payload: payload.into(),
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_in_any_cutting(
        messages in proptest::collection::vec(message(), 0..5),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| write(message).to_vec()).collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(decode(&pieces), Ok(messages));
    }

    #[test]
    fn no_flipped_bit_goes_unseen(message in message(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = write(&message);
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(decode(&[&bytes]).is_err());
    }
}
