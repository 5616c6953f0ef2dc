//! How long a sound is, where its head says so: WAV, and MP3 of one bit rate or with a count of its frames.

/// Milliseconds of a sound, and whether its head says so exactly; none where that is not known cheaply.
#[must_use]
pub fn milliseconds(bytes: &[u8]) -> Option<(u64, bool)> {
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE") {
        return wav(bytes).map(|time| (time, true));
    }
    mp3(bytes)
}

fn le32(bytes: &[u8], at: usize) -> Option<u64> {
    let four = bytes.get(at..at + 4)?;
    Some(u64::from(u32::from_le_bytes(four.try_into().ok()?)))
}

fn be32(bytes: &[u8], at: usize) -> Option<u64> {
    let four = bytes.get(at..at + 4)?;
    Some(u64::from(u32::from_be_bytes(four.try_into().ok()?)))
}

fn wav(bytes: &[u8]) -> Option<u64> {
    let mut at = 12;
    let mut rate = None;
    while let (Some(name), Some(size)) = (bytes.get(at..at + 4), le32(bytes, at + 4)) {
        match name {
            // Bytes of a second.
            b"fmt " => rate = le32(bytes, at + 16).filter(|rate| *rate > 0),
            b"data" => {
                // A sound that was streamed does not know its size.
                let there = bytes.len().saturating_sub(at + 8) as u64;
                return Some(size.min(there) * 1000 / rate?);
            }
            _ => {}
        }
        at = at
            .checked_add(8)?
            .checked_add(usize::try_from(size + size % 2).ok()?)?;
    }
    None
}

/// Kilobits a second of layer III: of MPEG 1, and of MPEG 2 and 2.5.
const RATES: [[u64; 16]; 2] = [
    [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0,
    ],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0],
];
const SAMPLES: [u64; 4] = [44_100, 48_000, 32_000, 0];

fn mp3(bytes: &[u8]) -> Option<(u64, bool)> {
    let start = if bytes.starts_with(b"ID3") {
        // Its size is written in four times seven bits.
        let size = bytes
            .get(6..10)?
            .iter()
            .fold(0, |all, byte| all << 7 | usize::from(byte & 0x7f));
        size + 10
    } else {
        0
    };
    let head = bytes.get(start..start + 4)?;
    if head[0] != 0xff || head[1] & 0xe6 != 0xe2 {
        return None;
    }
    let version = head[1] >> 3 & 3;
    let first = version == 3;
    let bits = *RATES[usize::from(!first)].get(usize::from(head[2] >> 4))?;
    let divided = match version {
        3 => 1,
        2 => 2,
        0 => 4,
        _ => return None,
    };
    let samples = SAMPLES[usize::from(head[2] >> 2 & 3)] / divided;
    if bits == 0 || samples == 0 {
        return None;
    }
    let mono = head[3] >> 6 == 3;
    let side = match (first, mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    let tag = start + 4 + side;
    let counted = matches!(bytes.get(tag..tag + 4), Some(b"Xing" | b"Info"));
    if counted && be32(bytes, tag + 4)? & 1 == 1 {
        let per_frame = if first { 1152 } else { 576 };
        return Some((be32(bytes, tag + 8)? * per_frame * 1000 / samples, true));
    }
    let size = (bytes.len() - start) as u64;
    Some((size * 8 / bits, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(data: usize, claimed: u32) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt ".to_vec();
        out.extend(16_u32.to_le_bytes());
        out.extend([1, 0, 1, 0]);
        out.extend(16_000_u32.to_le_bytes());
        out.extend(32_000_u32.to_le_bytes());
        out.extend([2, 0, 16, 0]);
        out.extend(b"data");
        out.extend(claimed.to_le_bytes());
        out.resize(out.len() + data, 0);
        out
    }

    #[test]
    fn waves_are_measured_by_their_head() {
        assert_eq!(milliseconds(&wave(48_000, 48_000)), Some((1500, true)));
        assert_eq!(milliseconds(&wave(16_000, u32::MAX)), Some((500, true)));
        assert_eq!(milliseconds(&wave(0, 0)[..30]), None);
        assert_eq!(milliseconds(b"OggS"), None);
        assert_eq!(milliseconds(b""), None);
    }

    #[test]
    fn mp3_is_measured_by_its_rate_or_its_frames() {
        // 128 kbit/s, 44.1 kHz.
        let mut sound = vec![0xff, 0xfb, 0x90, 0x00];
        sound.resize(16_000, 0);
        assert_eq!(milliseconds(&sound), Some((1000, false)));
        let tagged = [&b"ID3\x04\0\0\0\0\0\x05-----"[..], &sound].concat();
        assert_eq!(milliseconds(&tagged), Some((1000, false)));
        sound[36..40].copy_from_slice(b"Xing");
        sound[40..44].copy_from_slice(&1_u32.to_be_bytes());
        sound[44..48].copy_from_slice(&100_u32.to_be_bytes());
        assert_eq!(milliseconds(&sound), Some((2612, true)));
    }
}
