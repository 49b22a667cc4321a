// What a page does, through the official client: one server, one line of JSON for each thing seen.
// node clients.mjs <url> <transport> <token> <token of channel $private>

import { createRequire } from 'node:module'

const require = createRequire(new URL('../../js-client/package.json', import.meta.url))
const { Centrifuge } = require('centrifuge')
const WebSocket = globalThis.WebSocket ?? require('ws')

const [base, transport, token, privateToken] = process.argv.slice(2)
const seen = {}

const say = (name, value) => { seen[name] = value }
const timeout = setTimeout(() => { console.log(JSON.stringify({ ...seen, timeout: true })); process.exit(1) }, 20_000)

const once = (target, name) => new Promise((resolve) => { target.once(name, resolve) })
const api = async (method, body) => {
  const response = await fetch(`${base}/api/${method}`, { method: 'POST', headers: { 'X-API-Key': 'key' }, body: JSON.stringify(body) })
  return (await response.json()).result
}
const paths = { websocket: base.replace('http', 'ws') + '/connection/websocket', http_stream: base + '/connection/http_stream' }
const open = (options = {}) => new Centrifuge(
  [{ transport, endpoint: paths[transport] }],
  { websocket: WebSocket, fetch, readableStream: ReadableStream, emulationEndpoint: base + '/emulation', token, minReconnectDelay: 1, maxReconnectDelay: 20, ...options },
)

const client = open()
const connected = once(client, 'connected')
client.connect()
say('connected', (await connected).transport)

// Subscribe, publish, and everything one can ask of a channel.
const sub = client.newSubscription('open:js', { joinLeave: true })
const subscribed = once(sub, 'subscribed')
sub.subscribe()
const first = await subscribed
say('subscribed', [first.recoverable, first.positioned, first.wasRecovering, first.recovered])
const published = once(sub, 'publication')
await sub.publish({ text: 'hi' })
const publication = await published
say('publication', [publication.data, publication.offset, publication.info.user])
say('presence', Object.values((await sub.presence()).clients).map((found) => found.user))
say('presenceStats', await sub.presenceStats())
const history = await sub.history({ limit: 10 })
say('history', [history.publications.map((found) => found.data), history.offset])
say('position', (await sub.history({ limit: 0 })).offset)

// A private channel, with a token and without.
const closed = client.newSubscription('$private', { getToken: async () => privateToken })
const allowed = once(closed, 'subscribed')
closed.subscribe()
say('private', (await allowed).channel)
const denied = client.newSubscription('$other')
const refused = once(denied, 'unsubscribed')
denied.subscribe()
say('refused', (await refused).code)

// Errors of commands.
say('rpc', await client.rpc('nothing', {}).catch((error) => error.code))
say('unknown', await client.publish('nowhere:1', {}).catch((error) => error.code))
say('forbidden', await client.publish('plain:1', {}).catch((error) => error.code))

// Another client comes and goes.
const joins = once(sub, 'join')
const other = open()
const otherSub = other.newSubscription('open:js')
otherSub.subscribe()
other.connect()
say('join', (await joins).info.user)
const leaves = once(sub, 'leave')
other.disconnect()
say('leave', (await leaves).info.user)

// What is missed while away comes afterwards, in order, once.
const away = once(client, 'disconnected')
client.disconnect()
await away
for (const n of [1, 2, 3]) await api('publish', { channel: 'open:js', data: n })
const missed = []
const all = new Promise((resolve) => sub.on('publication', ({ data }) => { if (missed.push(data) === 3) resolve() }))
const again = once(sub, 'subscribed')
client.connect()
say('recovered', [(await again).wasRecovering, sub.state])
await all
say('missed', missed)

// A position from elsewhere, and one that is none.
const { offset, epoch } = await api('history', { channel: 'open:js', limit: 0 })
const late = open()
late.connect()
const from = late.newSubscription('open:js', { since: { offset: offset - 1, epoch } })
const got = once(from, 'publication')
from.subscribe()
say('since', (await got).data)
late.disconnect()
const lost = open()
lost.connect()
const nowhere = lost.newSubscription('open:js', { since: { offset: 1, epoch: 'gone' } })
const unrecovered = once(nowhere, 'subscribed')
nowhere.subscribe()
const ctx = await unrecovered
say('unrecovered', [ctx.wasRecovering, ctx.recovered])
lost.disconnect()

// The newest value at once; differences instead of repeated text.
await api('publish', { channel: 'latest:js', data: 'old' })
await api('publish', { channel: 'latest:js', data: 'new' })
const latest = client.newSubscription('latest:js')
const newest = once(latest, 'publication')
latest.subscribe()
say('latest', (await newest).data)
const delta = client.newSubscription('delta:js', { delta: 'fossil' })
const begun = once(delta, 'subscribed')
const texts = []
const three = new Promise((resolve) => delta.on('publication', ({ data }) => { if (texts.push(data.n) === 3) resolve() }))
delta.subscribe()
await begun
for (const n of [1, 2, 3]) await api('publish', { channel: 'delta:js', data: { n, text: 'the same words again and again'.repeat(9) } })
await three
say('delta', texts)

// The server ends a subscription, a connection for a moment, and a connection for good.
const ended = once(closed, 'unsubscribed')
await api('unsubscribe', { user: '7', channel: '$private' })
say('unsubscribed', (await ended).code)
const reconnecting = once(client, 'connecting')
const back = once(client, 'connected')
await api('disconnect', { user: '7', disconnect: { code: 4000, reason: 'again' } })
say('reconnecting', (await reconnecting).code)
await back
const terminal = once(client, 'disconnected')
await api('disconnect', { user: '7' })
say('disconnected', (await terminal).code)

clearTimeout(timeout)
console.log(JSON.stringify(seen))
process.exit(0)
