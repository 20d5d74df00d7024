// A PostgreSQL of the test's own, to be stopped, frozen and cut off at will; and a wire to it that can be cut. No checks in here.

import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { promisify } from 'node:util'
import { freePort, onExit, temporaryFolder } from './doorward.mjs'

/** The folder of initdb and pg_ctl; undefined when PostgreSQL is not installed. */
export function postgresPrograms() {
  const versions = fs.existsSync('/usr/lib/postgresql') ? fs.readdirSync('/usr/lib/postgresql').sort((a, b) => b - a) : []
  const folders = [...versions.map((version) => `/usr/lib/postgresql/${version}/bin`), ...(process.env.PATH ?? '').split(':')]
  return folders.find((folder) => ['initdb', 'pg_ctl', 'postgres'].every((name) => fs.existsSync(path.join(folder, name))))
}

const execute = promisify(execFile)

/** One cluster in a temporary folder with the settings of a new installation: every commit is flushed to the disk. */
export class Cluster {
  #programs = postgresPrograms()
  #folder = temporaryFolder('cluster')
  #frozen = []

  async start() {
    this.port = await freePort()
    this.password = randomBytes(12).toString('hex')
    const secret = path.join(this.#folder, 'password')
    fs.writeFileSync(secret, this.password)
    fs.chmodSync(this.#folder, 0o700)
    if (process.getuid() === 0) spawnSync('chown', ['-R', 'postgres:', this.#folder])
    await this.#run('initdb', '--pgdata', this.#data, '--username=doorward', `--pwfile=${secret}`, '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C.UTF-8')
    onExit(() => this.#end())
    await this.resume()
    return this
  }

  get #data() {
    return path.join(this.#folder, 'data')
  }

  /** PostgreSQL does not run as root. */
  #command(program, args) {
    const command = [path.join(this.#programs, program), ...args]
    if (process.getuid() === 0) command.unshift('runuser', '--user', 'postgres', '--')
    return command
  }

  /** Beside everything else that this process does: a load that runs meanwhile goes on. */
  async #run(program, ...args) {
    const [first, ...rest] = this.#command(program, args)
    try {
      // The server inherits what pg_ctl writes to, so it must not be a pipe that is waited for.
      const output = program === 'pg_ctl' ? ['-c', '"$0" "$@" >/dev/null 2>&1', first, ...rest] : undefined
      await (output ? execute('sh', output, { cwd: '/', timeout: 60_000 }) : execute(first, rest, { cwd: '/', timeout: 60_000 }))
    } catch (error) {
      throw new Error(`${program} ${args.join(' ')}: ${error.message}\n${error.stdout}${error.stderr}`)
    }
  }

  /** When this process ends. */
  #end() {
    if (this.#frozen.length > 0) this.thaw()
    if (this.#postmaster === undefined) return
    const [first, ...rest] = this.#command('pg_ctl', ['stop', '-w', '-t', '20', '-m', 'immediate', '-D', this.#data])
    spawnSync(first, rest, { cwd: '/', stdio: 'ignore', timeout: 30_000 })
  }

  /** The process id that the cluster wrote itself; undefined while it is stopped. */
  get #postmaster() {
    try {
      return Number(fs.readFileSync(path.join(this.#data, 'postmaster.pid'), 'utf8').split('\n')[0])
    } catch {
      return undefined
    }
  }

  /** Starts it, again after a stop, on the same port. */
  async resume() {
    const options = `-c listen_addresses=127.0.0.1 -c port=${this.port} -c unix_socket_directories= -c max_connections=100`
    await this.#run('pg_ctl', 'start', '-w', '-t', '50', '-D', this.#data, '-l', path.join(this.#folder, 'log'), '-o', options)
  }

  /** `fast`: connections are ended in order; `immediate`: as a power cut, without a last checkpoint. */
  async stop(mode = 'fast') {
    if (this.#frozen.length > 0) this.thaw()
    if (this.#postmaster === undefined) return
    await this.#run('pg_ctl', 'stop', '-w', '-t', '50', '-m', mode, '-D', this.#data)
  }

  /** Every process of the cluster stands still: connections stay open, and nothing answers. */
  freeze() {
    const parent = this.#postmaster
    // The postmaster first, so that it makes no more children.
    process.kill(parent, 'SIGSTOP')
    this.#frozen = [parent, ...childrenOf(parent)]
    for (const pid of this.#frozen.slice(1)) signal(pid, 'SIGSTOP')
  }

  thaw() {
    for (const pid of this.#frozen.splice(0).reverse()) signal(pid, 'SIGCONT')
  }

  url(database = 'postgres', port = this.port) {
    return `postgres://doorward:${this.password}@127.0.0.1:${port}/${database}`
  }

  /** Runs one statement, returns what it selects. */
  ask(statement, database = 'postgres') {
    const result = spawnSync('psql', ['-X', '-v', 'ON_ERROR_STOP=1', '-At', '-d', this.url(database), '-c', statement], { encoding: 'utf8' })
    if (result.status !== 0) throw new Error(`psql: ${result.stderr}`)
    return result.stdout.trim()
  }

  /** Makes a database and returns its name. */
  make(name) {
    this.ask(`CREATE DATABASE ${name}`)
    return name
  }

  /** What it wrote to its log. */
  log() {
    return fs.readFileSync(path.join(this.#folder, 'log'), 'utf8')
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name)
  } catch {
    // It had ended by itself.
  }
}

function childrenOf(parent) {
  return fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        // The name of the program, which may hold anything, stands in parentheses before the parent.
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent
      } catch {
        return false
      }
    })
}

/** A wire from a port of its own to `target`: a replica behind it can be cut off while the others go on. */
export async function startWire(target) {
  const sockets = new Set()
  let server
  let port = 0
  let held = false
  const join = () =>
    new Promise((resolve, reject) => {
      server = net.createServer((near) => {
        const far = net.connect(target, '127.0.0.1')
        for (const [one, other] of [[near, far], [far, near]]) {
          sockets.add(one)
          one.on('error', () => {})
          one.on('close', () => {
            sockets.delete(one)
            other.destroy()
          })
          one.pipe(other)
          if (held) one.pause()
        }
      })
      server.on('error', reject)
      server.listen(port, '127.0.0.1', () => {
        port = server.address().port
        server.unref()
        resolve()
      })
    })
  await join()
  return {
    port,
    /** Nobody gets through any more, and whoever is connected is thrown out. */
    cut: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    },
    join,
    /** Connections stay, and nothing passes in either direction. */
    hold: () => {
      held = true
      for (const socket of sockets) socket.pause()
    },
    release: () => {
      held = false
      for (const socket of sockets) socket.resume()
    },
  }
}
