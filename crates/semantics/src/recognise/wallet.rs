//! Addresses of wallets: base 58 with a hash at its end, and bech32 with its code.

use sha2::{Digest, Sha256};

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Twenty-five bytes, the last four of which are the beginning of the hash of the hash of the others.
pub(super) fn base58check(text: &str) -> bool {
    let mut bytes = [0_u8; 25];
    for letter in text.bytes() {
        let Some(value) = BASE58.iter().position(|one| *one == letter) else {
            return false;
        };
        let mut carry = value;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = (carry % 256) as u8;
            carry /= 256;
        }
        if carry != 0 {
            return false;
        }
    }
    let (body, check) = bytes.split_at(21);
    Sha256::digest(Sha256::digest(body)).starts_with(check)
}

/// BIP 173 and BIP 350: the polynomial of prefix and data has one of two rests.
pub(super) fn bech32(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((prefix, data)) = lower.rsplit_once('1') else {
        return false;
    };
    let mut values: Vec<u32> = prefix.bytes().map(|byte| u32::from(byte >> 5)).collect();
    values.push(0);
    values.extend(prefix.bytes().map(|byte| u32::from(byte & 31)));
    for letter in data.bytes() {
        let Some(value) = BECH32.iter().position(|one| *one == letter) else {
            return false;
        };
        values.push(value as u32);
    }
    data.len() >= 6 && matches!(remainder(&values), 1 | 0x2bc8_30a3)
}

fn remainder(values: &[u32]) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.iter().fold(1, |rest, value| {
        let top = rest >> 25;
        let shifted = ((rest & 0x1ff_ffff) << 5) ^ value;
        (0..5)
            .filter(|bit| top >> bit & 1 == 1)
            .fold(shifted, |rest, bit| rest ^ GENERATOR[bit])
    })
}
