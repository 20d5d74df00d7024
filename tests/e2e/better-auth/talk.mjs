// How the script talks: people with a cookie jar who use the npm client library or plain requests, and everything said is
// recorded. Knows nothing of who answers.

import { setTimeout as sleep } from 'node:timers/promises'
import { Jar, send } from '../lib/http.mjs'
import { Masks } from './mask.mjs'
import { APP, SECRET } from './parts.mjs'

const KEPT = [
  ...['content-type', 'location', 'cache-control', 'pragma', 'set-auth-token', 'set-auth-jwt', 'set-ott', 'x-retry-after'],
  ...['retry-after', 'access-control-expose-headers', 'www-authenticate', 'allow'],
]
export const PASSWORD = 'quiet-Meadow-12-copper'
const AGENT = 'differ/1'

/** Everything that one scenario says and hears on one target. */
export class Scene {
  constructor({ target, version, packages, idp, part, name }) {
    Object.assign(this, { target, version, packages, idp, part, name })
    this.v17 = version === 'v17'
    this.at = target.parts[part]
    this.base = this.at.url + this.at.basePath
    /** The address that the server believes to have. */
    this.publicBase = this.at.publicUrl + this.at.basePath
    this.origin = this.at.publicUrl
    this.records = []
    this.heldMails = []
    this.masks = new Masks({ secret: SECRET, places: [[this.publicBase, '{base}'], [this.base, '{base}'], [this.origin, '{origin}'], [this.at.url, '{origin}'], [idp.url, '{idp}']] })
  }

  browser(options) {
    return new Browser(this, options)
  }

  /** Sends and records; `about` says in a few words what is tried. */
  async exchange(about, url, { method, headers, body, jar, via }) {
    const cookie = jar?.header(url)
    const sent = { 'user-agent': AGENT, ...headers }
    if (this.origin !== this.at.url && url.startsWith(this.at.url)) sent.host = new URL(this.origin).host
    if (cookie && !('cookie' in sent)) sent.cookie = cookie
    for (const [name, value] of Object.entries(sent)) if (value === undefined || value === null) delete sent[name]
    const answer = await send(url, { method, headers: sent, body })
    jar?.store(url, answer.headers['set-cookie'] ?? [])
    const target = new URL(url)
    const path = target.href.startsWith(this.base) ? target.href.slice(this.base.length) : target.href
    const kept = Object.fromEntries(KEPT.filter((name) => answer.headers[name] !== undefined).map((name) => [name, answer.headers[name]]))
    let json
    try {
      json = JSON.parse(answer.text)
    } catch {
      json = undefined
    }
    const entry = {
      about,
      via,
      request: { method, path, headers: sent, body },
      response: { status: answer.status, headers: kept, cookies: answer.headers['set-cookie'] ?? [], text: answer.text, json },
    }
    entry.masked = this.masks.entry(entry)
    this.records.push(entry)
    return answer
  }

  /** The newest letter to somebody, or undefined when none comes within `wait` milliseconds. Recorded either way. */
  async mail(to, { wait = 5000, silent = false } = {}) {
    const until = Date.now() + wait
    let found
    for (;;) {
      this.heldMails.push(...(await this.target.mails(this.part)))
      const index = this.heldMails.findLastIndex((one) => one.to.toLowerCase() === to.toLowerCase())
      if (index >= 0) {
        ;[found] = this.heldMails.splice(index, 1)
        this.heldMails = this.heldMails.filter((one) => one.to.toLowerCase() !== to.toLowerCase())
        break
      }
      if (Date.now() > until) break
      await sleep(30)
    }
    const links = [...(found?.text ?? '').matchAll(/https?:\/\/[^\s<>"]+/g)].map(([link]) => link)
    const link = links.find((one) => one.startsWith(this.publicBase)) ?? links[0]
    const code = found?.text.match(/(?<![\w-])\d{6}(?![\w-])/)?.[0]
    const letter = found && { link: link?.replace(this.publicBase, this.base), code, text: found.text, token: link && tokenOf(link) }
    if (!silent) {
      const seen = found ? `a letter with ${link?.startsWith(this.publicBase) ? this.masks.string(link) : 'no link of ours'} and ${code ? 'a code' : 'no code'}` : 'no letter'
      this.masks.calls += 1
      this.records.push({ about: `mail to ${to}`, mail: found ?? null, masked: { mail: seen } })
    }
    return letter
  }

  /** Nobody wrote to this address: waits a moment to be sure. */
  async noMail(to) {
    return this.mail(to, { wait: 250 })
  }

  can(op) {
    return this.target.can(op)
  }

  async control(op, args) {
    return this.target.control(this.part, op, args)
  }
}

function tokenOf(link) {
  const url = new URL(link)
  return url.searchParams.get('token') ?? url.pathname.match(/\/reset-password\/([^/]+)/)?.[1]
}

const CLIENTS = {
  both: ['twoFactorClient', 'organizationClient', 'adminClient', 'emailOTPClient', 'magicLinkClient', 'usernameClient', 'multiSessionClient', 'oneTimeTokenClient', 'deviceAuthorizationClient', 'jwtClient'],
  v16: ['genericOAuthClient'],
}

/** One person's browser on the app's page: cookies, an Origin header, the client library. */
export class Browser {
  constructor(scene, { origin = APP, jar = new Jar(), headers = {} } = {}) {
    Object.assign(this, { scene, origin, jar, headers })
  }

  get client() {
    if (this.made) return this.made
    const { createAuthClient, clients, passkeyClient, apiKeyClient } = this.scene.packages
    const wanted = [...CLIENTS.both, ...(CLIENTS[this.scene.version] ?? [])]
    const plugins = wanted.map((name) => clients[name](name === 'organizationClient' ? { teams: { enabled: true } } : undefined))
    plugins.push(passkeyClient(), apiKeyClient())
    this.made = createAuthClient({
      baseURL: this.scene.base,
      plugins,
      fetchOptions: { customFetchImpl: (url, options) => this.#fetch(url, options) },
      disableDefaultFetchPlugins: true,
    })
    return this.made
  }

  async #fetch(input, options = {}) {
    const headers = Object.fromEntries(new Headers(options.headers))
    const answer = await this.scene.exchange(this.about, String(input.url ?? input), {
      via: this.via,
      method: (options.method ?? 'GET').toUpperCase(),
      headers: { origin: this.origin, ...this.headers, ...headers },
      body: options.body ?? undefined,
      jar: this.jar,
    })
    const hasBody = ![204, 304].includes(answer.status)
    const plain = Object.entries(answer.headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one]))
    return new Response(hasBody ? answer.text : null, { status: answer.status, headers: plain })
  }

  /** Calls the client library by the name of its method: `call('signIn.email', {…})`. Returns `{ data, error }`. */
  async call(method, ...args) {
    const about = typeof args[0] === 'string' && method !== args[0] ? args.shift() : undefined
    this.about = about ?? ''
    this.via = method
    const before = this.scene.records.length
    let outcome
    try {
      outcome = await method.split('.').reduce((object, key) => object[key], this.client)(...args)
    } catch (error) {
      outcome = { data: null, error: { thrown: String(error) } }
    }
    const last = this.scene.records.at(-1)
    if (this.scene.records.length > before && last?.masked) {
      const { data, error } = outcome ?? {}
      last.masked.client = error ? `error ${error.code ?? error.status ?? error.thrown}` : `data ${data === null ? 'null' : typeof data}`
    }
    return outcome ?? {}
  }

  /**
   * One plain request. `json` is sent as JSON, `form` as a form, `body` as it is. `origin: null` leaves the header out, `jar:
   * false` the cookies, `cookie` sends exactly these.
   */
  async raw(about, method, path, { json, form, body, headers = {}, origin = this.origin, jar = this.jar, cookie } = {}) {
    const sent = { ...(origin === null ? {} : { origin }), ...this.headers, ...headers }
    let text = body
    if (json !== undefined) {
      text = JSON.stringify(json)
      sent['content-type'] ??= 'application/json'
    } else if (form !== undefined) {
      text = new URLSearchParams(form).toString()
      sent['content-type'] ??= 'application/x-www-form-urlencoded'
    }
    if (cookie !== undefined) sent.cookie = cookie
    const url = /^https?:/.test(path) ? path : this.scene.base + path
    const answer = await this.scene.exchange(about, url, { via: 'raw', method, headers: sent, body: text, jar: jar || undefined })
    return Object.assign(answer, { body: parsed(answer.text), to: answer.headers.location })
  }

  get(about, path, options) {
    return this.raw(about, 'GET', path, options)
  }

  post(about, path, json, options) {
    return this.raw(about, 'POST', path, { json, ...options })
  }

  cookie(name) {
    return this.jar.all().find((one) => one.name.endsWith(name))
  }

  /** The raw session token in the cookie. */
  get token() {
    const held = this.cookie('.session_token')
    return held && decodeURIComponent(held.value).split('.').slice(0, -1).join('.')
  }

  /** Follows the answer of an authorize step: to the provider and back to the callback. Returns the callback's answer. */
  async through(start, { about = 'callback', keep } = {}) {
    const url = start?.data?.url ?? start?.url
    const back = url && (await send(url)).headers.location
    if (!back) {
      // Keeps the two recordings in step.
      this.scene.masks.calls += 1
      this.scene.records.push({ about, masked: { status: 'no way to a provider' } })
      return undefined
    }
    const target = new URL(back)
    if (keep) keep(target)
    // What the provider knows as our address is where we listen.
    const local = target.href.replace(this.scene.origin, this.scene.at.url)
    return this.raw(about, 'GET', local, { origin: null })
  }
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Runs one scenario against one target; returns its records. */
export async function play(scenario, { target, version, packages, idp }) {
  const scene = new Scene({ target, version, packages, idp, part: scenario.part, name: scenario.name })
  idp.next = {}
  try {
    await scenario.run(scene)
  } catch (error) {
    scene.records.push({ about: 'the scenario could not go on', failure: error, masked: { failure: String(error.message).split('\n')[0] } })
  }
  return scene.records
}
