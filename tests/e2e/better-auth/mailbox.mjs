// A mail server that keeps what it is given: enough SMTP for a program that hands over plain text without signing in.

import net from 'node:net'

function decoded(body, encoding) {
  if (/base64/i.test(encoding)) return Buffer.from(body.replace(/\s/g, ''), 'base64').toString()
  if (!/quoted-printable/i.test(encoding)) return body
  const bytes = body.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/gi, (whole, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(bytes, 'latin1').toString()
}

function letterOf(to, data) {
  const cut = data.indexOf('\r\n\r\n')
  const heads = data.slice(0, cut).replace(/\r\n[ \t]+/g, ' ')
  const field = (name) => heads.match(new RegExp(`^${name}:\\s*(.*)$`, 'im'))?.[1] ?? ''
  const text = decoded(data.slice(cut + 4), field('content-transfer-encoding')).replace(/\r\n/g, '\n')
  return { to, kind: field('subject'), text }
}

/** Listens on a free port; `take()` gives the letters that came since the last call. */
export async function startMailbox() {
  let letters = []
  const sockets = new Set()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => {}).setEncoding('latin1')
    let held = ''
    let data
    let to = []
    const say = (line) => socket.write(`${line}\r\n`)
    say('220 mailbox.example.test')
    socket.on('data', (chunk) => {
      held += chunk
      for (let end = held.indexOf('\r\n'); end >= 0; end = held.indexOf('\r\n')) {
        const line = held.slice(0, end)
        held = held.slice(end + 2)
        if (data !== undefined) {
          if (line !== '.') {
            data += `${line.startsWith('..') ? line.slice(1) : line}\r\n`
            continue
          }
          for (const one of to) letters.push(letterOf(one, data))
          data = undefined
          to = []
          say('250 kept')
        } else if (/^(?:EHLO|HELO)/i.test(line)) {
          say('250 mailbox.example.test')
        } else if (/^RCPT TO:/i.test(line)) {
          to.push(line.match(/<([^>]*)>/)?.[1] ?? '')
          say('250 fine')
        } else if (/^DATA/i.test(line)) {
          data = ''
          say('354 go on')
        } else if (/^QUIT/i.test(line)) {
          say('221 bye')
          socket.end()
        } else {
          say('250 fine')
        }
      }
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: server.address().port,
    take: () => letters.splice(0),
    close: () => new Promise((resolve) => {
      for (const socket of sockets) socket.destroy()
      server.close(resolve)
    }),
  }
}
