// What stands in front of two replicas: https for the browser on names below `example.test`, plain http for services beside it.
// The test says which replica the next request goes to. No checks in here.

import fs from 'node:fs'
import http from 'node:http'
import https from 'node:https'

/** A page of an app that uses the door with `fetch` alone. `door` and `notes` are where its script calls. */
const page = (door, notes) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,">
<p id="who">…</p><ul id="notes"></ul><button id="in">Sign in</button><button id="write">Write</button><button id="out">Sign out</button>
<script type="module">
const at = (id) => document.getElementById(id)
const ask = (url, body) => fetch(url, { credentials: 'include', ...(body && { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) })
async function show() {
  const session = await ask('${door}/session')
  const notes = await ask('${notes}/notes')
  at('notes').replaceChildren(...(notes.ok ? await notes.json() : []).map((note) => Object.assign(document.createElement('li'), { textContent: note.body })))
  at('who').textContent = session.status + ' ' + notes.status + ' ' + (session.ok ? (await session.json()).user.name : 'nobody')
}
at('in').onclick = async () => {
  const body = { providerId: 'authentik', callbackURL: location.origin + '/dashboard', errorCallbackURL: location.origin + '/oops?kept=1' }
  const answer = await (await ask('${door}/sign-in/oauth2', body)).json()
  location.href = answer.url
}
at('write').onclick = async () => { await ask('${notes}/notes', { body: 'written in the browser' }); await show() }
at('out').onclick = async () => { await ask('${door}/sign-out', {}); await show() }
await show()
</script></html>`

/** Hands a request on as it is; `more` are headers beside it. */
function handOn(request, response, port, more) {
  const options = { host: '127.0.0.1', port, method: request.method, path: request.url, headers: { ...request.headers, ...more }, agent: false }
  const further = http.request(options, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders)
    answer.pipe(response)
  })
  further.on('error', (error) => {
    if (!response.headersSent) response.writeHead(502)
    response.end(`${error.code}`)
  })
  request.pipe(further)
}

const listen = async (server) => {
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return server.address().port
}

/**
 * The front. `shop.example.test` has the page, the door (`/auth`, `/api/auth`) and the notes on one origin; `app.example.test` has only the
 * page, whose script calls `api.example.test`. `use(door)` chooses the replica; `notes(port)` says where the notes are; `seen` keeps
 * method, host, path and the names of the cookies of every request.
 */
export async function startFront(certificate) {
  const seen = []
  const target = {}
  const forwarded = (request) => ({ 'x-forwarded-proto': 'https', 'x-forwarded-host': request.headers.host, 'x-forwarded-for': '192.0.2.7' })
  const files = { cert: fs.readFileSync(certificate.certificate), key: fs.readFileSync(certificate.key) }
  const server = https.createServer(files, (request, response) => {
    const [name] = request.headers.host.split('.')
    const { pathname } = new URL(request.url, 'https://front')
    const cookies = (request.headers.cookie ?? '').split('; ').filter(Boolean).map((pair) => pair.split('=')[0])
    seen.push({ method: request.method, name, pathname, cookies })
    if (name !== 'app' && /^\/notes\b/.test(pathname)) return handOn(request, response, target.notes, {})
    if (name !== 'app' && /^\/(auth|api\/auth|version|application|if|static)\b/.test(pathname)) {
      return handOn(request, response, target.door.port, forwarded(request))
    }
    const api = `https://api.example.test:${port}`
    response.writeHead(name === 'api' ? 404 : 200, { 'content-type': 'text/html; charset=utf-8' })
    response.end(name === 'app' ? page(`${api}/auth`, api) : page('/auth', ''))
  })
  const port = await listen(server)
  const inner = async (name) => {
    const host = `${name}.example.test:${port}`
    const beside = http.createServer((request, response) => {
      const headers = { host, 'x-forwarded-proto': 'https', 'x-forwarded-host': host }
      handOn(request, response, target.door.port, headers)
    })
    return `http://localhost:${await listen(beside)}`
  }
  return {
    seen,
    url: (name) => `https://${name}.example.test:${port}`,
    inner,
    use: (door) => (target.door = door),
    notes: (at) => (target.notes = at),
    close: () => server.closeAllConnections(),
  }
}
