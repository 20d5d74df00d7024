// The two examples as somebody tries them: the notes API behind the guard, and the web app from a static server with what its
// lock file pins.

import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { databaseName, freePort, logFolder, postgres, startChild, temporaryFolder } from './doorward.mjs'
import { send } from './http.mjs'

const root = path.resolve(import.meta.dirname, '../../..')
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css' }

/** The example's binary, which the tests of the workspace build; undefined when they have not. */
export function guardedService() {
  const named = process.env.GUARDED_SERVICE_BIN
  const places = [named, ...['release', 'debug'].map((profile) => path.join(root, 'target', profile, 'examples/guarded-service'))]
  return places.find((place) => place && fs.existsSync(place))
}

/** A fresh database with the example's schema: the URL of the role that owns nothing, as `setup` prints it. */
export function setUpNotes() {
  const { name, url } = databaseName()
  postgres(`CREATE DATABASE ${name}`)
  const role = `${name}_app`
  const made = spawnSync(guardedService(), ['setup', '--admin-url', url, '--role', role], { encoding: 'utf8' })
  const printed = made.stdout.match(/DATABASE_URL='([^']+)'/)?.[1]
  if (made.status !== 0 || !printed) throw new Error(`guarded-service setup: exit ${made.status}\n${made.stdout}${made.stderr}`)
  const drop = () => {
    postgres(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    postgres(`DROP ROLE IF EXISTS ${role}`)
  }
  return { url: printed, ownerUrl: url, drop }
}

/** The notes API, for this Doorward and pages of this origin. */
export async function startNotes(door, database, origin, env = {}) {
  const port = await freePort()
  const settings = {
    DATABASE_URL: database.url,
    DOORWARD_URL: door.url,
    NOTES_LISTEN: `127.0.0.1:${port}`,
    NOTES_TRUSTED_ORIGIN: origin,
    RUST_LOG: 'info,sqlx=warn,doorward_guard=debug',
    ...env,
  }
  const logFile = path.join(logFolder, `notes-${port}.log`)
  fs.mkdirSync(logFolder, { recursive: true })
  const child = startChild(guardedService(), [], { env: settings, logFile })
  const log = () => fs.readFileSync(logFile, 'utf8')
  const url = `http://localhost:${port}`
  for (const until = Date.now() + 15_000; ; await sleep(50)) {
    const ended = await Promise.race([child.ended, sleep(1).then(() => undefined)])
    if (ended) return { url, log, ended }
    const answer = await send(`${url}/`, { timeout: 1000 }).catch(() => undefined)
    if (answer) break
    if (Date.now() > until) throw new Error(`the notes API does not answer\n${log()}`)
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await child.ended
  }
  return { url, log, stop }
}

/** The web app with its packages in a folder of its own; `config` is what config.js says there. */
export async function startWebApp() {
  const folder = path.join(temporaryFolder('web-app'), 'web-app')
  fs.cpSync(path.join(root, 'examples/web-app'), folder, { recursive: true, filter: (from) => !from.endsWith('node_modules') })
  const run = (command, ...args) => {
    const done = spawnSync(command, args, { cwd: folder, encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: exit ${done.status}\n${done.stdout}${done.stderr}`)
    return done.stdout
  }
  run('npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error')
  const checked = run('node', 'check.mjs')
  const server = http.createServer((request, response) => {
    const asked = new URL(request.url, 'http://localhost').pathname
    const file = path.join(folder, path.normalize(asked.endsWith('/') ? `${asked}index.html` : asked))
    if (!file.startsWith(`${folder}${path.sep}`) || !fs.existsSync(file)) return response.writeHead(404).end()
    response.writeHead(200, { 'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream' })
    response.end(fs.readFileSync(file))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://localhost:${server.address().port}`,
    checked,
    /** Puts other addresses into config.js. */
    configure(door, notes) {
      const file = path.join(folder, 'config.js')
      const text = fs.readFileSync(file, 'utf8')
      const written = text
        .replace(/DOORWARD = "[^"]*"/, `DOORWARD = "${door}/api/auth"`)
        .replace(/NOTES = "[^"]*"/, `NOTES = "${notes}"`)
      fs.writeFileSync(file, written)
    },
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  }
}
