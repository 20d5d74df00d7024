// What a person holds in the hand: an authenticator app (TOTP) and a security key (WebAuthn, ES256, no attestation).

import { createHash, createHmac, createSign, generateKeyPairSync, randomBytes } from 'node:crypto'

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

function fromBase32(text) {
  let bits = ''
  for (const letter of text.replace(/=+$/, '').toUpperCase()) bits += BASE32.indexOf(letter).toString(2).padStart(5, '0')
  const bytes = bits.match(/.{8}/g) ?? []
  return Buffer.from(bytes.map((one) => Number.parseInt(one, 2)))
}

/** The code that an authenticator app shows for an otpauth URI, `steps` half minutes from now. */
export function totp(uri, steps = 0) {
  const key = fromBase32(new URL(uri).searchParams.get('secret'))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps))
  const digest = createHmac('sha1', key).update(counter).digest()
  const at = digest[19] & 15
  return String((digest.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0')
}

/** A code that is not the right one now or nearby. */
export function wrongTotp(uri) {
  const right = [-2, -1, 0, 1, 2].map((step) => totp(uri, step))
  return ['000000', '111111', '222222', '333333', '444444', '555555'].find((one) => !right.includes(one))
}

// Just enough CBOR: small maps, integers, byte and text strings.
function head(major, size) {
  if (size < 24) return Buffer.from([(major << 5) | size])
  if (size < 256) return Buffer.from([(major << 5) | 24, size])
  return Buffer.from([(major << 5) | 25, size >> 8, size & 255])
}

function cbor(value) {
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value)
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  const entries = [...value.entries()]
  return Buffer.concat([head(5, entries.length), ...entries.flatMap(([key, one]) => [cbor(key), cbor(one)])])
}

const sha256 = (data) => createHash('sha256').update(data).digest()

/** A security key with one credential. */
export class SecurityKey {
  constructor({ origin }) {
    this.origin = origin
    this.id = randomBytes(32)
    this.counter = 0
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    this.privateKey = privateKey
    const { x, y } = publicKey.export({ format: 'jwk' })
    const parts = [[1, 2], [3, -7], [-1, 1], [-2, Buffer.from(x, 'base64url')], [-3, Buffer.from(y, 'base64url')]]
    this.cose = cbor(new Map(parts))
  }

  #clientData(type, challenge) {
    return Buffer.from(JSON.stringify({ type, challenge, origin: this.origin, crossOrigin: false }))
  }

  #authenticatorData(rpId, flags, more = Buffer.alloc(0)) {
    this.counter += 1
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(this.counter)
    return Buffer.concat([sha256(rpId), Buffer.from([flags]), counter, more])
  }

  #credential(response) {
    const id = this.id.toString('base64url')
    return { id, rawId: id, type: 'public-key', clientExtensionResults: {}, authenticatorAttachment: 'platform', response }
  }

  /** The answer to creation options. */
  register(options) {
    const credential = Buffer.concat([Buffer.alloc(16), Buffer.from([0, this.id.length]), this.id, this.cose])
    const data = this.#authenticatorData(options.rp.id, 0x45, credential)
    const attestation = cbor(new Map([['fmt', 'none'], ['attStmt', new Map()], ['authData', data]]))
    this.handle = options.user.id
    return this.#credential({
      clientDataJSON: this.#clientData('webauthn.create', options.challenge).toString('base64url'),
      attestationObject: attestation.toString('base64url'),
      transports: ['internal'],
    })
  }

  /** The answer to request options. */
  authenticate(options, { broken = false } = {}) {
    const client = this.#clientData('webauthn.get', options.challenge)
    const data = this.#authenticatorData(options.rpId, 0x05)
    const signed = Buffer.concat([data, sha256(client)])
    const signature = createSign('sha256').update(broken ? Buffer.concat([signed, Buffer.from('x')]) : signed).sign(this.privateKey)
    return this.#credential({
      clientDataJSON: client.toString('base64url'),
      authenticatorData: data.toString('base64url'),
      signature: signature.toString('base64url'),
      userHandle: this.handle,
    })
  }
}

/** A signed cookie value as the server writes it, before percent-encoding. */
export function sign(value, secret) {
  return `${value}.${createHmac('sha256', secret).update(value).digest('base64')}`
}

/** An HS256 token with these claims. */
export function hs256(claims, secret, header = { alg: 'HS256' }) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const content = `${part(header)}.${part(claims)}`
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`
}
