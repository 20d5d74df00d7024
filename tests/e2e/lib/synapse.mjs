// A real Synapse (PyPI) on 127.0.0.1 with SQLite and without a network: start, stop, ask whether somebody is there.

import { spawn, spawnSync } from 'node:child_process'
import { createHmac, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort, logFolder, startChild, temporaryFolder } from './doorward.mjs'

/** The Python that has these modules, or undefined. */
export function findPython(modules) {
  const python = process.env.E2E_PYTHON ?? 'python3'
  const found = spawnSync(python, ['-c', modules.map((name) => `import ${name}`).join('\n')], { stdio: 'ignore' })
  if (found.status !== 0) return undefined
  return {
    path: python,
    run(script) {
      return new Promise((resolve, reject) => {
        const child = spawn(python, ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'] })
        let out = ''
        let problem = ''
        child.stdout.on('data', (chunk) => (out += chunk))
        child.stderr.on('data', (chunk) => (problem += chunk))
        child.on('error', reject)
        child.on('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`python: ${problem}`))))
      })
    },
  }
}

class Synapse {
  constructor(python, folder, port) {
    this.python = python
    this.folder = folder
    this.port = port
    this.url = `http://127.0.0.1:${port}`
    this.name = 'synapse.test'
    this.secret = randomBytes(24).toString('hex')
    this.logFile = path.join(logFolder, 'synapse.log')
  }

  configure() {
    const at = (name) => path.join(this.folder, name)
    const config = {
      server_name: this.name,
      pid_file: at('pid'),
      listeners: [{ port: this.port, bind_addresses: ['127.0.0.1'], type: 'http', resources: [{ names: ['client', 'keys'] }] }],
      database: { name: 'sqlite3', args: { database: at('homeserver.db') } },
      log_config: at('log.yaml'),
      media_store_path: at('media'),
      signing_key_path: at('signing.key'),
      registration_shared_secret: this.secret,
      macaroon_secret_key: randomBytes(24).toString('hex'),
      form_secret: randomBytes(24).toString('hex'),
      report_stats: false,
      trusted_key_servers: [],
    }
    const log = {
      version: 1,
      formatters: { plain: { format: '%(asctime)s %(levelname)s %(name)s %(message)s' } },
      handlers: { console: { class: 'logging.StreamHandler', formatter: 'plain' } },
      root: { level: 'WARNING', handlers: ['console'] },
    }
    // JSON is YAML.
    fs.writeFileSync(at('homeserver.yaml'), JSON.stringify(config))
    fs.writeFileSync(at('log.yaml'), JSON.stringify(log))
    const made = spawnSync(this.python.path, ['-m', 'synapse.app.homeserver', '-c', at('homeserver.yaml'), '--generate-keys'], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`Synapse made no keys: ${made.stderr}`)
  }

  async start() {
    this.child = startChild(this.python.path, ['-m', 'synapse.app.homeserver', '-c', path.join(this.folder, 'homeserver.yaml')], {
      env: process.env, cwd: this.folder, logFile: this.logFile,
    })
    for (const until = Date.now() + 60_000; Date.now() < until; await sleep(100)) {
      try {
        const answer = await fetch(`${this.url}/_matrix/client/versions`, { signal: AbortSignal.timeout(2000) })
        if (answer.ok) return
      } catch {
        // Not yet.
      }
    }
    throw new Error(`Synapse did not start: ${fs.readFileSync(this.logFile, 'utf8').slice(-3000)}`)
  }

  async stop() {
    if (!this.child) return
    this.child.kill('SIGTERM')
    const ended = await Promise.race([this.child.ended, sleep(20_000).then(() => undefined)])
    if (!ended) this.child.kill('SIGKILL')
    await this.child.ended
    this.child = undefined
  }

  /** The access token of an administrator, who is made when asked for the first time. */
  async administrator() {
    if (this.token) return this.token
    const { nonce } = await (await fetch(`${this.url}/_synapse/admin/v1/register`)).json()
    const password = randomBytes(16).toString('hex')
    const mac = createHmac('sha1', this.secret).update([nonce, 'boss', password, 'admin'].join('\0')).digest('hex')
    const answer = await fetch(`${this.url}/_synapse/admin/v1/register`, {
      method: 'POST', body: JSON.stringify({ nonce, username: 'boss', password, admin: true, mac }),
    })
    if (!answer.ok) throw new Error(`Synapse made no administrator: ${await answer.text()}`)
    this.token = (await answer.json()).access_token
    return this.token
  }

  async user(name) {
    const headers = { authorization: `Bearer ${await this.administrator()}` }
    const answer = await fetch(`${this.url}/_synapse/admin/v2/users/${encodeURIComponent(name)}`, { headers })
    return answer.status === 200 ? answer.json() : undefined
  }

  async has(name) {
    return (await this.user(name)) !== undefined
  }

  async isDeactivated(name) {
    return (await this.user(name))?.deactivated
  }
}

/** Starts one with nothing in it. */
export async function startSynapse(python) {
  const synapse = new Synapse(python, temporaryFolder('synapse'), await freePort())
  synapse.configure()
  await synapse.start()
  return synapse
}
