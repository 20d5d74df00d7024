// OAuth requests spelled out by hand, for the suites that must send what no client library would. No checks in here.

import { createHash, randomBytes } from 'node:crypto'
import { send } from './http.mjs'

export function pkce() {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** RFC 6749 section 2.3.1: form-encode both halves, then Basic. */
export function basic(id, secret) {
  const encode = (text) => new URLSearchParams({ '': text }).toString().slice(1)
  return { authorization: `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}` }
}

/** One client of one server, as a test drives it by hand. `app` is the answer of `application create`. */
export class HandClient {
  constructor(door, app, redirectUri) {
    this.door = door
    this.app = app
    this.redirectUri = redirectUri
    this.endpoint = (name) => `${door.url}/application/o/${name}/`
  }

  get credentials() {
    const { client_id: id, client_secret: secret } = this.app
    return secret ? { headers: basic(id, secret), fields: {} } : { headers: {}, fields: { client_id: id } }
  }

  /** An authorize URL; `undefined` among `params` removes a parameter. */
  authorizeUrl(params = {}, { challenge } = {}) {
    const url = new URL(this.endpoint('authorize'))
    const all = {
      response_type: 'code',
      client_id: this.app.client_id,
      redirect_uri: this.redirectUri,
      scope: 'openid email profile offline_access',
      state: randomBytes(8).toString('hex'),
      ...(challenge ? { code_challenge: challenge, code_challenge_method: 'S256' } : {}),
      ...params,
    }
    for (const [name, value] of Object.entries(all)) if (value !== undefined) url.searchParams.set(name, value)
    return url.href
  }

  post(name, form, { headers } = {}) {
    const { credentials } = this
    return send(this.endpoint(name), { form: { ...credentials.fields, ...form }, headers: { ...credentials.headers, ...headers } })
  }

  redeem(code, verifier, extra = {}) {
    return this.post('token', {
      grant_type: 'authorization_code',
      code,
      redirect_uri: this.redirectUri,
      ...(verifier ? { code_verifier: verifier } : {}),
      ...extra,
    })
  }

  refresh(token, extra = {}) {
    return this.post('token', { grant_type: 'refresh_token', refresh_token: token, ...extra })
  }

  introspect(token, extra = {}) {
    return this.post('introspect', { token, ...extra })
  }

  revoke(token, extra = {}) {
    return this.post('revoke', { token, ...extra })
  }

  userinfo(token) {
    return send(this.endpoint('userinfo'), { headers: { authorization: `Bearer ${token}` } })
  }

  /** A code for `person` through `visitor`'s pages. Returns `{ code, verifier, left, url }`. */
  async code(visitor, person, params = {}) {
    const { verifier, challenge } = pkce()
    const url = this.authorizeUrl(params, { challenge })
    const step = await visitor.walk(url, person)
    const code = step.left?.searchParams.get('code')
    if (!code) throw new Error(`expected a code, got: ${step.left ?? step.page}`)
    return { code, verifier, left: step.left, url }
  }

  /** Tokens for `person`: the parsed token answer. */
  async tokens(visitor, person, params = {}) {
    const { code, verifier } = await this.code(visitor, person, params)
    const answer = await this.redeem(code, verifier)
    if (answer.status !== 200) throw new Error(`expected tokens\n${answer}`)
    return answer.json()
  }
}
