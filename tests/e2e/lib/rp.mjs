// The relying party's side: a listener on 127.0.0.1 that takes callbacks, posts and logout notices and keeps them for the
// test to read. It checks nothing itself.

import http from 'node:http'

/** Starts a listener. `url('/x')` names an address on it, `next('/x')` resolves with the next request to that path. */
export async function startRelyingParty(host = '127.0.0.1') {
  const seen = []
  const waiting = []
  const documents = new Map()
  let answer = () => undefined

  const server = http.createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const url = new URL(request.url, base)
      if (url.pathname === '/favicon.ico') return response.writeHead(204).end()
      if (documents.has(url.pathname)) {
        response.writeHead(200, { 'content-type': 'application/json' })
        return response.end(JSON.stringify(documents.get(url.pathname)))
      }
      const body = Buffer.concat(chunks).toString('utf8')
      const entry = { method: request.method, url, path: url.pathname, headers: request.headers, body, form: new URLSearchParams(body) }
      seen.push(entry)
      const index = waiting.findIndex((one) => one.path === entry.path)
      if (index >= 0) waiting.splice(index, 1)[0].resolve(entry)
      const status = answer(entry) ?? 200
      response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' })
      return response.end('<!doctype html><html lang="en"><title>The client</title><h1>Back at the client</h1></html>')
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  const base = `http://${host}:${server.address().port}`

  return {
    base,
    seen,
    url: (path) => `${base}${path}`,
    /** Serves JSON at a path; used for `jwks_uri`. */
    serve: (path, document) => documents.set(path, document),
    /** `decide(entry)` returns the status to answer with. */
    answerWith: (decide) => {
      answer = decide
    },
    next: (path, limit = 20_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          const paths = seen.map((entry) => `${entry.method} ${entry.url.pathname}${entry.url.search}`)
          reject(new Error(`nobody called ${path} in ${limit} ms; got: ${JSON.stringify(paths.slice(-5))}`))
        }, limit)
        waiting.push({
          path,
          resolve: (entry) => {
            clearTimeout(timer)
            resolve(entry)
          },
        })
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      }),
  }
}
