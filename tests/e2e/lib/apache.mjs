// A private Apache with mod_auth_openidc: own folder, own port, run as a child. Debian's own configuration is not read.

import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, logFolder, startChild, temporaryFolder } from './doorward.mjs'
import { send } from './http.mjs'

const BINARIES = ['/usr/sbin/apache2', '/usr/sbin/httpd']
const MODULES = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules']

/** Why Apache cannot run here, or undefined. */
export function apacheMissing() {
  if (!BINARIES.some((file) => fs.existsSync(file))) return 'apache2 is not installed'
  if (!MODULES.some((folder) => fs.existsSync(path.join(folder, 'mod_auth_openidc.so')))) return 'libapache2-mod-auth-openidc is not installed'
  return undefined
}

/** A port for Apache, chosen before the client is registered. */
export { freePort }

/** Starts Apache on `port`. `directives` are the OIDC lines; `/protected/` needs a session. */
export async function startApache({ port, directives }) {
  const folder = temporaryFolder('apache')
  fs.chmodSync(folder, 0o755)
  const modules = MODULES.find((place) => fs.existsSync(path.join(place, 'mod_auth_openidc.so')))
  const site = path.join(folder, 'site', 'protected')
  fs.mkdirSync(site, { recursive: true })
  const script = path.join(site, 'claims.cgi')
  fs.copyFileSync(fileURLToPath(new URL('../apache/claims.cgi', import.meta.url)), script)
  fs.chmodSync(script, 0o755)
  fs.writeFileSync(path.join(folder, 'site', 'index.html'), '<!doctype html><title>Public</title><h1>Signed out of Apache</h1>')
  const asRoot = process.getuid() === 0 ? ['User www-data', 'Group www-data'] : []
  // What is not there as a file is built in.
  const load = ['mpm_prefork', 'authn_core', 'authz_core', 'authz_user', 'dir', 'mime', 'cgi', 'auth_openidc'].filter((name) =>
    fs.existsSync(path.join(modules, `mod_${name}.so`)),
  )
  fs.writeFileSync(path.join(folder, 'mime.types'), 'text/html html\n')
  const config = [
    `ServerRoot "${folder}"`,
    `PidFile "${folder}/apache.pid"`,
    `Listen 127.0.0.1:${port}`,
    `ServerName 127.0.0.1:${port}`,
    `ErrorLog "${folder}/error.log"`,
    'LogLevel info',
    ...load.map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`),
    ...asRoot,
    `TypesConfig "${folder}/mime.types"`,
    'StartServers 2',
    'MaxRequestWorkers 10',
    `DocumentRoot "${folder}/site"`,
    `<Directory "${folder}/site">`,
    '  Require all granted',
    '  DirectoryIndex index.html claims.cgi',
    '</Directory>',
    ...directives,
    '<Location /protected>',
    '  AuthType openid-connect',
    '  Require valid-user',
    '  Options +ExecCGI',
    '  SetHandler cgi-script',
    '</Location>',
    '',
  ].join('\n')
  const file = path.join(folder, 'apache.conf')
  fs.writeFileSync(file, config)
  const child = startChild(BINARIES.find((name) => fs.existsSync(name)), ['-f', file, '-DFOREGROUND'], {
    env: { PATH: process.env.PATH },
    logFile: path.join(logFolder, 'apache.log'),
    ownGroup: true,
  })
  const log = () => {
    const parts = [path.join(folder, 'error.log'), path.join(logFolder, 'apache.log')]
    return parts.map((part) => (fs.existsSync(part) ? fs.readFileSync(part, 'utf8') : '')).join('\n')
  }
  const stop = async () => {
    child.kill('SIGTERM')
    await child.ended
    fs.writeFileSync(path.join(logFolder, 'apache-error.log'), log())
  }
  for (let turn = 0; ; turn += 1) {
    try {
      await send(`http://127.0.0.1:${port}/`)
      break
    } catch (error) {
      if (turn > 200) throw new Error(`Apache did not start: ${error.message}\n${log()}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  return { url: `http://127.0.0.1:${port}`, log, stop }
}
