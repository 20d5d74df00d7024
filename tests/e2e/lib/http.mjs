// Plain HTTP as the tests need it: one request per call, headers exactly as given, a cookie jar, and a
// `Visitor` that walks sign-in pages the way a browser without JavaScript does. No OAuth in here.

import dns from 'node:dns'
import http from 'node:http'
import https from 'node:https'

const agents = {
  'http:': new http.Agent({ keepAlive: true, maxSockets: 200 }),
  // Certificates of tests are made by the tests.
  'https:': new https.Agent({ keepAlive: true, maxSockets: 200, rejectUnauthorized: false }),
}

/** Names for tests are on this machine; everything else is looked up as usual. */
function lookup(hostname, options, callback) {
  if (!hostname.endsWith('.test')) return dns.lookup(hostname, options, callback)
  return options.all ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)
}

/** One response, read to the end. `text` is the whole body. */
export class Answer {
  constructor(request, status, headers, text) {
    this.request = request
    this.status = status
    this.headers = headers
    this.text = text
  }

  get url() {
    return this.request.url
  }

  json() {
    try {
      return JSON.parse(this.text)
    } catch {
      throw new Error(`expected a JSON body\n${this}`)
    }
  }

  /** The absolute `Location`, or undefined. */
  get location() {
    return this.headers.location && new URL(this.headers.location, this.request.url).href
  }

  /** The body as a person would read it: of a page only the text. */
  get readable() {
    if (!/text\/html/.test(this.headers['content-type'] ?? '')) return this.text
    const body = this.text.replace(/<head>[\s\S]*?<\/head>|<svg[\s\S]*?<\/svg>/g, '')
    return unescapeHtml(body.replace(/<\/?(?:mark|code|strong|b|span)\b[^>]*>/g, '').replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ')).trim()
  }

  toString() {
    const { method, url, body } = this.request
    const headers = Object.entries(this.headers)
      .filter(([name]) => !['date', 'connection', 'keep-alive', 'content-length'].includes(name))
      .map(([name, value]) => `  ${name}: ${value}`)
      .join('\n')
    const sent = body ? `\n  sent: ${String(body).slice(0, 400)}` : ''
    return `got: ${method} ${url}${sent}\n  -> ${this.status}\n${headers}\n  ${this.readable.slice(0, 1500)}`
  }
}

/**
 * Sends one request. `form` is an object or a list of pairs (repeated fields), `json` an object, `body` raw text.
 * Redirects are never followed. Rejects on a broken connection or after `timeout` milliseconds.
 */
export function send(url, options = {}) {
  const { method = options.form || options.json || options.body ? 'POST' : 'GET', jar, timeout = 30_000 } = options
  const headers = { ...options.headers }
  let body = options.body
  if (options.form) {
    body = new URLSearchParams(options.form).toString()
    headers['content-type'] ??= 'application/x-www-form-urlencoded'
  } else if (options.json) {
    body = JSON.stringify(options.json)
    headers['content-type'] ??= 'application/json'
  }
  if (body !== undefined) headers['content-length'] = Buffer.byteLength(body)
  const cookie = jar?.header(url)
  if (cookie) headers.cookie = cookie
  const target = new URL(url)
  const client = target.protocol === 'https:' ? https : http
  return new Promise((resolve, reject) => {
    const request = client.request(
      target,
      { method, headers, agent: options.agent ?? agents[target.protocol], family: 4, lookup, timeout },
      (response) => {
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('aborted', () => reject(new Error(`${method} ${url}: the connection broke in the answer`)))
        response.on('end', () => {
          const answer = new Answer(
            { method, url: target.href, body },
            response.statusCode,
            response.headers,
            Buffer.concat(chunks).toString('utf8'),
          )
          jar?.store(url, response.headers['set-cookie'] ?? [])
          resolve(answer)
        })
      },
    )
    request.on('timeout', () => request.destroy(new Error(`${method} ${url}: no answer in ${timeout} ms`)))
    request.on('error', (error) => {
      // The other side closed a kept connection while this request was on its way to it: nothing of it was read.
      const isStale = error.code === 'ECONNRESET' && request.reusedSocket && ['GET', 'HEAD'].includes(method)
      if (isStale && !options.again) resolve(send(url, { ...options, again: true }))
      else reject(error)
    })
    request.end(body)
  })
}

/** Cookies by host name or domain (ports share cookies, as in browsers) and path; `Secure` ones go over https only. */
export class Jar {
  #cookies = []

  store(url, lines) {
    const { hostname } = new URL(url)
    for (const line of lines) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim())
      const cut = pair.indexOf('=')
      const cookie = { host: hostname, name: pair.slice(0, cut), value: pair.slice(cut + 1), path: '/', line }
      let gone = false
      let rejected = false
      cookie.secure = attributes.some((attribute) => /^secure$/i.test(attribute))
      for (const attribute of attributes) {
        const [key, value = ''] = attribute.split('=')
        if (/^path$/i.test(key) && value.startsWith('/')) cookie.path = value
        if (/^domain$/i.test(key) && value) {
          cookie.domain = true
          cookie.host = value.replace(/^\./, '').toLowerCase()
          rejected = hostname !== cookie.host && !hostname.endsWith(`.${cookie.host}`)
        }
        if (/^max-age$/i.test(key) && Number(value) <= 0) gone = true
        if (/^expires$/i.test(key) && Date.parse(value) <= Date.now()) gone = true
      }
      if (rejected) continue
      this.#cookies = this.#cookies.filter(
        (old) => !(old.host === cookie.host && old.name === cookie.name && old.path === cookie.path),
      )
      if (!gone) this.#cookies.push(cookie)
    }
  }

  header(url) {
    const { hostname, pathname, protocol } = new URL(url)
    const reaches = ({ host, domain }) => host === hostname || (domain && hostname.endsWith(`.${host}`))
    // Browsers take this machine for secure.
    const isSecure = protocol === 'https:' || ['localhost', '127.0.0.1'].includes(hostname)
    return this.#cookies
      .filter((cookie) => reaches(cookie) && (isSecure || !cookie.secure))
      .filter(({ path }) => pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`))
      .map((cookie) => `${cookie.name}=${cookie.value}`)
      .join('; ')
  }

  all() {
    return this.#cookies.map((cookie) => ({ ...cookie }))
  }

  clone() {
    const copy = new Jar()
    copy.#cookies = this.all()
    return copy
  }
}

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

export function unescapeHtml(text) {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, dec, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (dec) return String.fromCodePoint(Number(dec))
    return ENTITIES[name] ?? whole
  })
}

function attributesOf(tag) {
  const found = {}
  for (const [, name, double, single, bare] of tag.matchAll(/([\w:-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?/g)) {
    found[name.toLowerCase()] ??= unescapeHtml(double ?? single ?? bare ?? '')
  }
  return found
}

/** The forms of a page with their successful controls and their buttons. */
export function formsOf(html) {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, open, inner]) => {
    const form = { method: 'get', ...attributesOf(open), fields: {}, buttons: [], text: unescapeHtml(inner.replace(/<[^>]+>/g, ' ')) }
    for (const [, tag] of inner.matchAll(/<input\b([^>]*)>/gi)) {
      const input = attributesOf(tag)
      if (input.type === 'submit') form.buttons.push({ ...input, text: input.value ?? '' })
      else if (/^(checkbox|radio)$/.test(input.type ?? '') && !('checked' in input)) continue
      else if (input.name) form.fields[input.name] = input.value ?? ''
    }
    for (const [, tag] of inner.matchAll(/<select\b([^>]*)>/gi)) {
      const select = attributesOf(tag)
      if (select.name) form.fields[select.name] ??= ''
    }
    for (const [, tag, text] of inner.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>/gi)) {
      form.buttons.push({ ...attributesOf(tag), text: unescapeHtml(text.replace(/<[^>]+>/g, ' ')).trim() })
    }
    return form
  })
}

/** A person's browser without JavaScript: cookies, links, forms, redirects. */
export class Visitor {
  constructor(origin, { headers = {}, jar = new Jar() } = {}) {
    this.origin = new URL(origin).origin
    this.headers = headers
    this.jar = jar
  }

  /**
   * Opens a URL and follows redirects while they stay on our origin. Returns `{ page }` (an Answer) or, when the
   * redirect leads elsewhere, `{ left }` (the URL) with `page` the redirecting answer.
   */
  async open(url, options = {}) {
    let target = new URL(url, this.origin).href
    let current = { ...options }
    for (let hop = 0; hop < 12; hop += 1) {
      const page = await send(target, {
        ...current,
        jar: this.jar,
        headers: { accept: 'text/html', ...this.headers, ...current.headers },
      })
      if (page.status < 300 || page.status >= 400 || !page.location) return { page }
      if (new URL(page.location).origin !== this.origin) return { page, left: new URL(page.location) }
      target = page.location
      current = page.status === 307 || page.status === 308 ? current : {}
    }
    throw new Error(`more than 12 redirects, last at ${target}`)
  }

  /** Submits a form of a page with `values` over its own; `button` is matched by name and value. */
  async submit(page, form, values = {}, button) {
    const action = new URL(form.action || page.url, page.url)
    const pressed = button ?? form.buttons.find((entry) => entry.type !== 'button')
    const fields = { ...form.fields, ...values }
    if (pressed?.name && !(pressed.name in values)) fields[pressed.name] = pressed.value ?? ''
    if (action.origin !== this.origin) return { page, left: action, form: fields }
    if (form.method.toLowerCase() === 'get') {
      action.search = new URLSearchParams(fields).toString()
      return this.open(action.href)
    }
    const origin = { origin: this.origin, 'sec-fetch-site': 'same-origin', referer: page.url }
    return this.open(action.href, { form: fields, headers: origin })
  }

  /**
   * Walks from `url` through sign-in and consent. Returns `{ left }` once the walk leaves our origin (with `form` when
   * by an automatic post), or `{ page }` where it cannot go on: an error page, or a sign-in page that refused.
   */
  async walk(url, { username, password, decision = 'allow' } = {}) {
    let step = await this.open(url)
    let signedIn = false
    for (let turn = 0; turn < 8; turn += 1) {
      if (step.left) return step
      const forms = formsOf(step.page.text)
      const signIn = forms.find((form) => 'password' in form.fields && 'username' in form.fields)
      const consent = forms.find((form) => form.buttons.some((button) => button.name === 'decision'))
      const away = forms.find((form) => form.action && new URL(form.action, step.page.url).origin !== this.origin)
      if (signIn && username && !signedIn) {
        signedIn = true
        step = await this.submit(step.page, signIn, { username, password })
      } else if (consent) {
        const button = consent.buttons.find((entry) => entry.value === decision)
        step = await this.submit(step.page, consent, { decision }, button)
      } else if (away) {
        step = await this.submit(step.page, away)
      } else {
        return step
      }
    }
    throw new Error(`the walk did not end\n${step.page}`)
  }

  /** Signs in at the portal. Returns the page reached. */
  async signIn(person) {
    const { page } = await this.walk('/if/user/', person)
    return page
  }
}
