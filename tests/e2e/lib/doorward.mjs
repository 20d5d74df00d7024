// The doorward binary as a child process: start, stop, kill, command line, database of its own. Knows nothing of OAuth.

import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { send } from './http.mjs'

const binary = process.env.DOORWARD_BIN
export const engine = process.env.E2E_ENGINE ?? 'sqlite'
export const logFolder = process.env.E2E_LOGS ?? fs.mkdtempSync(path.join(os.tmpdir(), 'doorward-e2e-logs-'))

export const ADMIN = { username: 'admin', email: 'admin@example.org', password: 'plain-Harbour-47-lantern' }
export const ALICE = { username: 'alice', email: 'alice@example.org', name: 'Alice Ardent', password: 'quiet-Meadow-12-copper' }
export const BOB = { username: 'bob', email: 'bob@example.org', name: 'Bob Brook', password: 'brisk-Timber-88-violet' }

const children = new Map()
const undo = []

/** Something to do once when this process ends, whatever the reason. Must be synchronous. */
export function onExit(action) {
  undo.push(action)
}

process.on('exit', () => {
  for (const child of children.values()) {
    try {
      process.kill(child.ownGroup ? -child.pid : child.pid, 'SIGKILL')
    } catch {
      // It had ended by itself.
    }
  }
  for (const action of undo.reverse()) {
    try {
      action()
    } catch (error) {
      process.stderr.write(`clean-up: ${error.message}\n`)
    }
  }
})
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(1))

/**
 * Starts a child that ends with this process at the latest; stdout and stderr go to `logFile`. `ownGroup` is for programs
 * that signal their whole process group when they end.
 */
export function startChild(command, args, { env, logFile, cwd, ownGroup = false } = {}) {
  const output = fs.openSync(logFile, 'a')
  const child = spawn(command, args, { env, cwd, detached: ownGroup, stdio: ['ignore', output, output] })
  fs.closeSync(output)
  child.ownGroup = ownGroup
  children.set(child.pid, child)
  child.ended = new Promise((resolve) => {
    child.on('error', (error) => resolve({ error }))
    child.on('exit', (code, signal) => {
      children.delete(child.pid)
      resolve({ code, signal })
    })
  })
  return child
}

export async function freePort() {
  const server = net.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

export function temporaryFolder(name) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `doorward-e2e-${name}-`))
  onExit(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

let databases = 0

/** Runs one statement as the test PostgreSQL's owner. */
export function postgres(statement) {
  const url = process.env.DOORWARD_TEST_POSTGRES
  const result = spawnSync('psql', ['-X', '-v', 'ON_ERROR_STOP=1', '-At', '-d', url, '-c', statement], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`psql: ${result.stderr}`)
  return result.stdout.trim()
}

/** The name and URL of a database that does not exist yet; it is dropped when this process ends. */
export function databaseName() {
  databases += 1
  const name = `doorward_e2e_${process.pid}_${databases}`
  const url = new URL(process.env.DOORWARD_TEST_POSTGRES)
  url.pathname = `/${name}`
  onExit(() => postgres(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  return { name, url: url.href }
}

function freshDatabase() {
  const database = databaseName()
  postgres(`CREATE DATABASE ${database.name}`)
  return database.url
}

let servers = 0

/** One doorward server with data of its own. Build it with `startDoorward`. */
export class Doorward {
  constructor({ port, env, dataFolder, logFile }) {
    this.port = port
    this.url = `http://localhost:${port}`
    this.env = env
    this.dataFolder = dataFolder
    this.logFile = logFile
  }

  /** The whole log of every start so far. */
  log() {
    return fs.readFileSync(this.logFile, 'utf8')
  }

  spawn() {
    this.child = startChild(binary, ['serve'], { env: this.env, logFile: this.logFile, cwd: this.dataFolder })
  }

  /** Starts the process and waits for readiness. */
  async start({ wait = true } = {}) {
    this.spawn()
    if (wait) await this.ready()
    return this
  }

  async ready(limit = 30_000) {
    const until = Date.now() + limit
    let last = 'no answer'
    while (Date.now() < until) {
      const ended = await Promise.race([this.child.ended, sleep(25).then(() => undefined)])
      if (ended) throw new Error(`doorward ended at start: ${JSON.stringify(ended)}\n${this.log().slice(-4000)}`)
      try {
        const answer = await send(`${this.url}/-/health/ready/`, { timeout: 2000 })
        if (answer.status === 200) return
        last = answer.toString()
      } catch (error) {
        last = error.message
      }
    }
    throw new Error(`doorward was not ready in ${limit} ms: ${last}\n${this.log().slice(-4000)}`)
  }

  /** SIGTERM; returns how it ended and how many milliseconds it took. */
  async stop() {
    if (!this.child) return undefined
    const began = Date.now()
    this.child.kill('SIGTERM')
    const ended = await Promise.race([this.child.ended, sleep(15_000).then(() => undefined)])
    if (!ended) this.child.kill('SIGKILL')
    this.child = undefined
    return { ...ended, milliseconds: Date.now() - began }
  }

  async kill() {
    this.child.kill('SIGKILL')
    await this.child.ended
  }

  /** Runs the command line beside the server. Returns `{ status, stdout, stderr }`. */
  run(args, { input = '' } = {}) {
    return new Promise((resolve, reject) => {
      const child = spawn(binary, args, { env: this.env, cwd: this.dataFolder, stdio: ['pipe', 'pipe', 'pipe'] })
      children.set(child.pid, child)
      const result = { stdout: '', stderr: '' }
      child.stdout.on('data', (chunk) => (result.stdout += chunk))
      child.stderr.on('data', (chunk) => (result.stderr += chunk))
      child.on('error', reject)
      child.on('close', (status) => {
        children.delete(child.pid)
        resolve({ ...result, status })
      })
      child.stdin.on('error', () => {})
      child.stdin.end(input)
    })
  }

  /** Runs the command line with `--json`, expects success, returns the parsed answer. */
  async cli(...args) {
    const input = typeof args.at(-1) === 'object' ? args.pop().input : ''
    const result = await this.run([...args, '--json'], { input })
    const shown = `doorward ${args.join(' ')} --json\n  exit ${result.status}\n  ${result.stdout.slice(0, 1500)}\n  ${result.stderr.slice(0, 1500)}`
    if (result.status !== 0) throw new Error(`expected success, got: ${shown}`)
    if (result.stdout.trim() === '') return undefined
    try {
      return JSON.parse(result.stdout)
    } catch {
      throw new Error(`expected JSON on stdout, got: ${shown}`)
    }
  }

  async addGroup(name) {
    return this.cli('group', 'create', name)
  }

  async addUser(person, ...options) {
    const name = person.name ? ['--name', person.name] : []
    return this.cli('user', 'create', person.username, '--email', person.email, ...name, '--password-stdin', ...options, {
      input: `${person.password}\n`,
    })
  }

  /** Creates an application; returns its answer with `slug` and the URLs a client needs. */
  async addApplication(slug, ...options) {
    const made = await this.cli('application', 'create', slug, ...options)
    for (const field of ['client_id', 'issuer']) {
      if (!made?.[field]) throw new Error(`application create: expected ${field}, got: ${JSON.stringify(made)}`)
    }
    await this.served(slug)
    return { slug, ...made }
  }

  /** The server takes over what the command line changed within a moment; waits for an application to be served. */
  async served(slug) {
    let answer
    for (const until = Date.now() + 5000; Date.now() < until; await sleep(30)) {
      answer = await send(`${this.url}/application/o/${slug}/.well-known/openid-configuration`)
      if (answer.status === 200) return
    }
    throw new Error(`the application ${slug} was not served within 5 s of its creation\n${answer}`)
  }

  /** The group `staff` with alice in it, and bob outside of it. */
  async addPeople() {
    await this.addGroup('staff')
    await this.addUser(ALICE, '--group', 'staff')
    await this.addUser(BOB)
  }
}

/**
 * Prepares a server with a fresh database on a free port. `bootstrap: false` leaves the first administrator to the set-up
 * link; `env` adds variables; `database` overrides the database URL; `start: false` only prepares.
 */
export async function startDoorward({ bootstrap = true, env = {}, database, start = true } = {}) {
  if (!binary || !fs.existsSync(binary)) throw new Error(`DOORWARD_BIN names no file: ${binary}`)
  servers += 1
  const port = await freePort()
  const dataFolder = temporaryFolder('data')
  const inherited = {}
  for (const name of ['PATH', 'HOME', 'LANG', 'TMPDIR']) if (process.env[name]) inherited[name] = process.env[name]
  const settings = {
    ...inherited,
    DOORWARD_DATA_DIR: dataFolder,
    DOORWARD_LISTEN: `127.0.0.1:${port}`,
    DOORWARD_PUBLIC_URL: `http://localhost:${port}`,
    ...env,
  }
  if (bootstrap) {
    settings.DOORWARD_BOOTSTRAP_USERNAME = ADMIN.username
    settings.DOORWARD_BOOTSTRAP_EMAIL = ADMIN.email
    settings.DOORWARD_BOOTSTRAP_PASSWORD = ADMIN.password
  }
  const url = database ?? (engine === 'postgres' ? freshDatabase() : undefined)
  if (url) settings.DOORWARD_DATABASE_URL = url
  fs.mkdirSync(logFolder, { recursive: true })
  const door = new Doorward({ port, env: settings, dataFolder, logFile: path.join(logFolder, `doorward-${servers}.log`) })
  fs.writeFileSync(door.logFile, '')
  return start ? door.start() : door
}
