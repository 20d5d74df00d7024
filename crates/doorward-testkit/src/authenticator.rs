//! A passkey in software: answers a page's options as browser and authenticator would.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// One key on one device. What it says can be bent by changing the fields.
#[derive(Clone)]
pub struct Authenticator {
    seed: [u8; 32],
    /// Credential id.
    pub id: Vec<u8>,
    /// Signature counter; advances by itself.
    pub counter: u32,
    /// Page that asks.
    pub origin: String,
    /// Host that the key is for.
    pub rp: String,
    /// Flags of the authenticator data, without the one for a new key.
    pub flags: u8,
}

impl Authenticator {
    /// A key of its own for each `seed`, at a page of `origin`.
    #[must_use]
    pub fn new(seed: u8, origin: &str) -> Self {
        let host = origin.split("://").nth(1).unwrap_or_default();
        Self {
            seed: [seed; 32],
            id: vec![seed; 32],
            counter: 0,
            origin: origin.to_owned(),
            rp: host.split(':').next().unwrap_or_default().to_owned(),
            flags: 0b101,
        }
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).expect("a key")
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let challenge = options.get("challenge").cloned().unwrap_or_default();
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false })
            .to_string()
            .into_bytes()
    }

    fn data(&mut self, flags: u8) -> Vec<u8> {
        self.counter += 1;
        let mut data = digest(&SHA256, self.rp.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn response(&self, inner: &Value) -> Value {
        let id = URL_SAFE_NO_PAD.encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "clientExtensionResults": {}, "response": inner })
    }

    /// Makes the key.
    #[must_use]
    pub fn create(&mut self, options: &Value) -> Value {
        let client = self.client_data("webauthn.create", options);
        let mut data = self.data(self.flags | 0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).expect("a short id").to_be_bytes());
        data.extend(&self.id);
        data.extend([0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20]);
        data.extend(self.pair().public_key().as_ref());
        let mut object = vec![0xa3];
        object.extend(b"\x63fmt\x64none\x67attStmt\xa0\x68authData\x59");
        object.extend(u16::try_from(data.len()).expect("short data").to_be_bytes());
        object.extend(data);
        self.response(&json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client), "attestationObject": URL_SAFE_NO_PAD.encode(object),
            "transports": ["internal"],
        }))
    }

    /// Signs in with it.
    #[must_use]
    pub fn get(&mut self, options: &Value) -> Value {
        let client = self.client_data("webauthn.get", options);
        let data = self.data(self.flags);
        let message = [data.as_slice(), digest(&SHA256, &client).as_ref()].concat();
        let signature = self.pair().sign(&message);
        self.response(&json!({
            "clientDataJSON": URL_SAFE_NO_PAD.encode(client), "authenticatorData": URL_SAFE_NO_PAD.encode(data),
            "signature": URL_SAFE_NO_PAD.encode(signature.as_ref()),
        }))
    }
}
