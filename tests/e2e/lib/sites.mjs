// Guarded sites without a proxy: asking what nginx would ask, and a person's way to the cookie of a site. No checks in here.

import http from 'node:http'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Jar, Visitor, send } from './http.mjs'

/** What nginx says about a request to `url`. */
export const nginxHeaders = (url, cookie, method = 'GET') => ({
  'x-original-url': url,
  'x-original-method': method,
  ...(cookie ? { cookie } : {}),
})

/** One check, as nginx asks. */
export function check(door, url, cookie, { method, timeout } = {}) {
  return send(`http://127.0.0.1:${door.port}/.doorward/auth/nginx`, { headers: nginxHeaders(url, cookie, method), timeout })
}

/** The host of a site's own `/.doorward/` paths, as a proxy passes them on. */
function onSite(door, address, jar) {
  const { host, protocol, pathname, search } = new URL(address)
  const headers = { accept: 'text/html', 'x-forwarded-host': host, 'x-forwarded-proto': protocol.slice(0, -1) }
  const cookie = jar.header(address)
  if (cookie) headers.cookie = cookie
  return send(`http://127.0.0.1:${door.port}${pathname}${search}`, { headers }).then((answer) => {
    jar.store(address, answer.headers['set-cookie'] ?? [])
    return answer
  })
}

/**
 * Signs in for the page at `url` the way a browser is led there: from the refused check to the sign-in page and back with a
 * cookie. Returns `{ cookie, jar, visitor }`, or `{ page }` where the way ends at something else.
 */
export async function enterSite(door, url, person, { visitor = new Visitor(door.url), jar = new Jar() } = {}) {
  const first = await check(door, url, jar.header(url))
  if (first.status !== 401) return { page: first, jar, visitor }
  let next = first.headers['x-doorward-location']
  for (let hop = 0; hop < 10; hop += 1) {
    if (next === url) return { cookie: jar.header(url), jar, visitor }
    if (new URL(next).origin === visitor.origin) {
      const step = await visitor.walk(next, person)
      if (!step.left) return { page: step.page, jar, visitor }
      next = step.left.href
      continue
    }
    const answer = await onSite(door, next, jar)
    if (!answer.location) return { page: answer, jar, visitor }
    next = new URL(answer.headers.location, next).href
  }
  throw new Error(`the way to ${url} does not end, last at ${next}`)
}

/** Signs out at the site itself. */
export function leaveSite(door, url, { jar }) {
  return onSite(door, new URL('/.doorward/sign_out', url).href, jar)
}

/**
 * Checks at a steady rate, whether the answers come or not, until `stop()`. Each is `{ status, milliseconds, reason }`; a check
 * without an answer has no status. `cookies` take turns.
 */
export function steadyChecks(door, url, cookies, perSecond) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 100 })
  const answers = []
  const open = new Set()
  const began = performance.now()
  let running = true
  let sent = 0
  const one = (cookie) =>
    new Promise((resolve) => {
      const start = performance.now()
      const done = (status, reason) => {
        answers.push({ status, reason, at: start - began, milliseconds: performance.now() - start })
        resolve()
      }
      const request = http.get(
        { host: '127.0.0.1', port: door.port, path: '/.doorward/auth/nginx', agent, timeout: 10_000, headers: nginxHeaders(url, cookie) },
        (response) => {
          response.resume()
          response.on('end', () => done(response.statusCode, response.headers['x-doorward-reason']))
        },
      )
      request.on('timeout', () => request.destroy(new Error('no answer in 10 s')))
      request.on('error', (error) => done(undefined, error.message))
    })
  const finished = (async () => {
    while (running) {
      const due = Math.floor(((performance.now() - began) * perSecond) / 1000)
      for (; sent < due; sent += 1) {
        const pending = one(cookies[sent % cookies.length])
        open.add(pending)
        pending.then(() => open.delete(pending))
      }
      await sleep(2)
    }
    await Promise.all(open)
    agent.destroy()
  })()
  return {
    answers,
    stop: async () => {
      running = false
      await finished
      const times = answers.map((answer) => answer.milliseconds).sort((a, b) => a - b)
      const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0
      return {
        count: answers.length,
        perSecond: answers.length / ((performance.now() - began) / 1000),
        bad: answers.filter((answer) => answer.status !== 200),
        p50: at(0.5),
        p99: at(0.99),
        worst: times.at(-1) ?? 0,
      }
    },
  }
}
