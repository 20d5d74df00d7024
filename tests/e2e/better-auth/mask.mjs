// What differs between two honest servers becomes a placeholder: ids, tokens, dates, codes. Values that mean something later get
// a name when they are first seen ({token 1}, {user anna@…}), so that "the same" and "another one" stay told apart.

import { createHmac } from 'node:crypto'

const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/
const JWT = /^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$/
const RANDOM = /^[\w+/=-]{20,}$/
const SECRET_KEYS = /^(?:token|.*Token|key|secret|challenge|start|device_code|access_token|refresh_token|credentialID|publicKey|aaguid|x|kid|n|code_challenge|nonce|lastRequest)$/
const ID_KEYS = /^(?:id|.*Id|.*_id|sub|jti|invitedBy)$/
const PLAIN_IDS = new Set(['providerId', 'client_id', 'rpId', 'clientId'])

/** Lists without an order of their own. */
const UNORDERED = /^\/(?:list-sessions|list-accounts|multi-session\/list-device-sessions)/

/** Names of a JWT's times are relative to now. */
const TIMES = new Set(['iat', 'exp', 'nbf'])

export class Masks {
  constructor({ secret, places }) {
    this.secret = secret
    this.places = places
    this.names = new Map()
    this.calls = 0
  }

  name(value, name) {
    if (typeof value === 'string' && value.length >= 8 && !this.names.has(value)) this.names.set(value, name)
  }

  /** What is compared of one exchange. Tokens are named after the call that gave them. */
  entry({ request, response }) {
    const now = Date.now()
    this.calls += 1
    for (const line of response.cookies) this.#learnCookie(line)
    if (response.json && typeof response.json === 'object') this.#learn(response.json)
    const { headers } = response
    const type = (headers['content-type'] ?? '').split(';')[0].trim()
    const masked = { status: response.status }
    if (type && response.text !== '') masked.type = type
    const body = response.json !== undefined ? this.value(response.json, '', now) : undefined
    if (Array.isArray(body) && UNORDERED.test(request.path)) body.sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))
    masked.body = body !== undefined ? body : response.text === '' ? '' : `<${type || 'text'}>`
    if (headers.location !== undefined) masked.location = this.string(headers.location)
    const cookies = {}
    for (const line of response.cookies) {
      const { name, shown } = this.#cookie(line)
      cookies[name] = shown
    }
    if (Object.keys(cookies).length) masked.cookies = cookies
    for (const name of ['cache-control', 'pragma', 'x-retry-after']) if (headers[name] !== undefined) masked[name] = headers[name]
    if (headers['set-auth-token'] !== undefined) masked['set-auth-token'] = this.#signed(headers['set-auth-token'])
    if (headers['set-auth-jwt'] !== undefined) masked['set-auth-jwt'] = this.value(headers['set-auth-jwt'], '', now)
    return masked
  }

  #learnCookie(line) {
    const [pair] = line.split(';')
    const cut = pair.indexOf('=')
    if (!/session_token$/.test(pair.slice(0, cut)) || pair.length === cut + 1) return
    const token = decode(pair.slice(cut + 1)).split('.').slice(0, -1).join('.')
    if (token) this.name(token, `{token of ${this.calls}}`)
  }

  #learn(body) {
    if (Array.isArray(body)) return body.forEach((one) => one && typeof one === 'object' && this.#learn(one))
    const { id } = body
    if (typeof id === 'string') {
      if ('emailVerified' in body) this.name(id, `{user ${body.email}}`)
      else if ('slug' in body) this.name(id, `{org ${body.slug}}`)
      else if ('inviterId' in body) this.name(id, `{invitation ${body.email}}`)
      else if ('role' in body && 'organizationId' in body) this.name(id, `{member ${this.names.get(body.userId) ?? ''}}`)
      else if ('organizationId' in body && 'name' in body) this.name(id, `{team ${body.name}}`)
      else if ('accountId' in body) this.name(id, `{account ${body.providerId}}`)
      else if ('credentialID' in body) this.name(id, `{passkey ${body.name}}`)
    }
    for (const value of Object.values(body)) if (value && typeof value === 'object') this.#learn(value)
  }

  value(value, key, now) {
    if (Array.isArray(value)) return value.map((one) => this.value(one, key, now))
    if (value && typeof value === 'object') {
      const out = {}
      for (const name of Object.keys(value).sort()) {
        if (value[name] === null) continue
        if (name === 'ipAddress') continue
        out[name] = TIMES.has(name) && typeof value[name] === 'number' ? moment(value[name] * 1000, now) : this.value(value[name], name, now)
      }
      return out
    }
    if (typeof value !== 'string') {
      // Seconds may pass between the promise and the answer.
      if (key === 'expires_in') return Math.ceil(value / 10) * 10
      if (typeof value === 'number' && value > 1.5e12) return moment(value, now)
      return value
    }
    if (DATE.test(value)) return moment(Date.parse(value), now)
    if (this.names.has(value)) return this.names.get(value)
    if (JWT.test(value)) return this.#jwt(value, now)
    if (/^otpauth:/.test(value)) return value.replace(/secret=[A-Z2-7]+/, 'secret=<base32>')
    if (/^[a-zA-Z0-9]{5}-[a-zA-Z0-9]{5}$/.test(value)) return '<backup code>'
    if (key === 'user_code' || key === 'userCode') return '<user code>'
    if (/^https?:|^\/.*[?&]/.test(value)) return this.string(value)
    if (value !== '' && ID_KEYS.test(key) && !PLAIN_IDS.has(key) && !/[\s@]/.test(value) && value.length > 12) return '<id>'
    if (value.length > 12 && SECRET_KEYS.test(key)) return '<random>'
    if (key === 'start') return '<start>'
    if (/^[\w-]+\.[\w+/]{43}=$/.test(value)) return this.#signed(value)
    if (RANDOM.test(value) && /\d/.test(value) && /[a-zA-Z]/.test(value)) return '<random>'
    return this.string(value)
  }

  /** Text with addresses, names and, in addresses, what is random in the query. */
  string(text) {
    let out = text
    for (const [place, name] of this.places) out = out.replaceAll(place, name).replaceAll(encodeURIComponent(place), encodeURIComponent(name))
    if (/[?&]/.test(out)) {
      out = out.replace(/([?&])(state|code|token|code_challenge|nonce|user_code|id_token_hint)=([^&#]*)/g, (whole, sign, name, value) => {
        const known = this.names.get(decode(value))
        return `${sign}${name}=${value === '' ? '' : (known ?? `<${name}>`)}`
      })
    }
    out = out.replace(/\/reset-password\/[\w-]{16,}/, '/reset-password/<token>')
    for (const [value, name] of this.names) if (out.includes(value)) out = out.replaceAll(value, name)
    return out
  }

  #jwt(text, now) {
    const [head, claims] = text.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))
    return { jwt: { header: this.value(head, '', now), claims: this.value(claims, '', now) } }
  }

  /** A value with our signature: says so, or that the signature is wrong. */
  #signed(text) {
    const value = decode(text)
    const cut = value.lastIndexOf('.')
    if (cut < 0) return '<unsigned>'
    const content = value.slice(0, cut)
    const good = createHmac('sha256', this.secret).update(content).digest('base64') === value.slice(cut + 1)
    const shown = this.names.get(content) ?? (content.length > 12 ? '<random>' : content)
    return good ? `signed ${shown}` : `WRONGLY SIGNED ${shown}`
  }

  #cookie(line) {
    const [pair, ...attributes] = line.split('; ')
    const cut = pair.indexOf('=')
    const value = pair.slice(cut + 1)
    let name = pair.slice(0, cut)
    const multi = name.match(/^(.*session_token_multi-)(.*)$/)
    if (multi) {
      const known = [...this.names].find(([token]) => token.toLowerCase() === multi[2])
      name = `${multi[1]}${known?.[1] ?? '<token>'}`
    }
    const shown = value === '' ? '' : /\.[\w+/]{43}=$/.test(decode(value)) ? this.#signed(value) : '<value>'
    return { name, shown: `${shown}; ${attributes.join('; ')}` }
  }
}

function decode(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const UNITS = [[86_400, 'd'], [3600, 'h'], [60, 'min']]

/** A moment relative to now, coarse enough for a slow machine. */
function moment(at, now) {
  const seconds = Math.round((at - now) / 1000)
  if (Math.abs(seconds) < 45) return '<now>'
  const sign = seconds < 0 ? '-' : '+'
  const size = Math.abs(seconds)
  for (const [unit, name] of UNITS) {
    if (size >= unit * 0.75) return `<now ${sign}${Math.round(size / unit)} ${name}>`
  }
  return `<now ${sign}${size} s>`
}
