//! The handshake `Noise_NNpsk0_25519_ChaChaPoly_SHA256`: two fresh keys from one that both have.
//!
//! In: the pairing key, 32 random bytes, a message. Out: the other message, and the keys of a [`Transport`]. Guarantees:
//! a first message from somebody without the key is refused before any curve arithmetic; wrong lengths are refused.

use super::ANSWER_MAX;
use super::key::Key;
use super::transport::Transport;
use noise_protocol::patterns::noise_nn_psk0;
use noise_protocol::{DH, HandshakeState, U8Array};
use noise_rust_crypto::sensitive::Sensitive;
use noise_rust_crypto::{ChaCha20Poly1305, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

type State = HandshakeState<X25519, ChaCha20Poly1305, Sha256>;

/// The host's side: waits for the second message.
#[derive(Clone)]
pub(crate) struct Initiator(State);

impl Initiator {
    /// Writes the first message.
    pub(crate) fn new(key: &Key, entropy: [u8; 32]) -> (Self, [u8; FIRST]) {
        let mut state = state(key, true, Some(entropy));
        let mut message = [0; FIRST];
        // Fails only without a psk or by a point of the other end's, and this one has the psk and no point yet.
        let _ = state.write_message(&[], &mut message);
        (Initiator(state), message)
    }

    /// Reads the second message into `payload`; the session's keys and the payload's length.
    pub(crate) fn finish(
        mut self,
        session: u8,
        message: &[u8],
        payload: &mut [u8; ANSWER_MAX],
    ) -> Option<(Transport, usize)> {
        let length = message.len().checked_sub(SECOND_OVERHEAD)?;
        self.0.read_message(message, payload.get_mut(..length)?).ok()?;
        let (send, receive) = keys(&self.0);
        Some((Transport::sealed(session, &send, &receive), length))
    }
}

/// The device's side: did somebody with the key write this?
pub(crate) fn is_first(key: &Key, message: &[u8; FIRST]) -> bool {
    state(key, false, None).read_message(message, &mut []).is_ok()
}

/// The device's side: reads the first message, writes the second with its payload; the session's keys and how many
/// bytes it has.
pub(crate) fn respond(
    key: &Key,
    session: u8,
    message: &[u8; FIRST],
    entropy: [u8; 32],
    payload: &[u8],
    answer: &mut [u8],
) -> Option<(Transport, usize)> {
    let mut state = state(key, false, Some(entropy));
    state.read_message(message, &mut []).ok()?;
    let length = SECOND_OVERHEAD + payload.len();
    state.write_message(payload, answer.get_mut(..length)?).ok()?;
    let (receive, send) = keys(&state);
    Some((Transport::sealed(session, &send, &receive), length))
}

fn state(key: &Key, is_initiator: bool, entropy: Option<[u8; 32]>) -> State {
    let secret = entropy.map(|bytes| Sensitive::from(Zeroizing::new(bytes)));
    let mut state = State::new(noise_nn_psk0(), is_initiator, PROLOGUE, None, secret, None, None);
    state.push_psk(key.bytes());
    state
}

/// From the host to the device, and back.
fn keys(state: &State) -> (Sensitive<[u8; 32]>, Sensitive<[u8; 32]>) {
    let (there, back) = state.get_ciphers();
    (there.extract().0, back.extract().0)
}

/// Curve25519 without a source of randomness of its own.
enum X25519 {}

impl DH for X25519 {
    type Key = Sensitive<[u8; 32]>;
    type Pubkey = [u8; 32];
    type Output = Sensitive<[u8; 32]>;

    fn name() -> &'static str {
        "25519"
    }

    fn genkey() -> Self::Key {
        unreachable!("`state` is given a secret wherever a message is written")
    }

    fn pubkey(secret: &Self::Key) -> Self::Pubkey {
        PublicKey::from(&StaticSecret::from(**secret)).to_bytes()
    }

    fn dh(secret: &Self::Key, public: &Self::Pubkey) -> Result<Self::Output, ()> {
        let shared = StaticSecret::from(**secret).diffie_hellman(&PublicKey::from(*public));
        // A point of low order would make a shared secret that everybody knows.
        match shared.was_contributory() {
            true => Ok(Sensitive::from_slice(shared.as_bytes())),
            false => Err(()),
        }
    }
}

/// Both ends mix this in, so that another protocol with the same key has other keys.
const PROLOGUE: &[u8] = b"efference link 2";
/// Bytes of the first message: a public key and a tag.
pub(crate) const FIRST: usize = 48;
/// Bytes of the second message besides its payload.
pub(crate) const SECOND_OVERHEAD: usize = 48;
