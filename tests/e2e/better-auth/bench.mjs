// The real better-auth for `cargo xtask bench`: starts it with one signed-in user and prints one line of JSON
//
//   {"pid":1,"url":"http://localhost:4000/api/auth","cookie":"better-auth.session_token=…","token":"…","email":"…","password":"…"}
//
//   node bench.mjs [v17|v16] [USERS]
//
// and runs until its standard input ends or SIGTERM comes. `cookie` is for `GET /get-session` with a Cookie header, `token` for
// the same with `Authorization: Bearer`, `email` and `password` for `POST /sign-in/email`. With USERS, users 1 to USERS exist too:
// bench-1@example.org and so on, all with the same password. Only the core, bearer and nothing else is on: the server at its
// fastest. `pid` is the process that serves: its CPU time is what counts.

import http from 'node:http'
import { SECRET } from './parts.mjs'

const [version = 'v17', more = '0'] = process.argv.slice(2)
const { betterAuth, memoryAdapter, plugins, toNodeHandler } = await import(`./${version}/packages.mjs`)

const db = { user: [], session: [], account: [], verification: [] }
let handler
const server = http.createServer((request, response) => handler(request, response))
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const origin = `http://localhost:${server.address().port}`
const auth = betterAuth({
  baseURL: origin,
  secret: SECRET,
  database: memoryAdapter(db),
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  emailAndPassword: { enabled: true },
  plugins: [plugins.bearer()],
})
handler = toNodeHandler(auth)

const password = 'quiet-Meadow-12-copper'
const join = async (email) => {
  const headers = { 'content-type': 'application/json', origin }
  const answer = await fetch(`${origin}/api/auth/sign-up/email`, { method: 'POST', headers, body: JSON.stringify({ name: 'Bench', email, password }) })
  if (answer.status !== 200) throw new Error(`sign-up: ${answer.status} ${await answer.text()}`)
  const { token } = await answer.json()
  return { token, cookie: answer.headers.getSetCookie()[0].split(';')[0] }
}
const email = 'bench@example.org'
const { token, cookie } = await join(email)
for (let number = 1; number <= Number(more); number += 1) await join(`bench-${number}@example.org`)

process.on('SIGTERM', () => process.exit(0))
process.stdin.on('end', () => process.exit(0)).resume()
process.stdout.write(`${JSON.stringify({ pid: process.pid, url: `${origin}/api/auth`, cookie, token, email, password })}\n`)
