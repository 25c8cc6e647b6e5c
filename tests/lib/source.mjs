// source.mjs - a context source of a few lines: notes what it is asked and answers as it is told.
//
//     const source = await startSource();
//     register source.url, or source.url + '/a' for several in one
//     source.reply('POST', '/a/ngsi-ld/v1/entities', 201);      // once told, for ever; body, headers
//     source.take()           // requests since the last call: { method, path, query, headers, body, json }
//     source.answer = async (req, res) => true;                 // answered by itself, for hostile ones
import http from 'node:http';

export async function startSource() {
    const source = { requests: [], replies: new Map(), answer: null };
    const sockets = new Set();
    const serve = async (req, res) => {
        const parts = [];
        for await (const part of req) parts.push(part);
        const url = new URL(req.url, 'http://source');
        const entry = { method: req.method, target: req.url, path: url.pathname, query: url.searchParams,
            headers: req.headers, body: Buffer.concat(parts).toString() };
        try { entry.json = JSON.parse(entry.body); } catch { /* not JSON */ }
        source.requests.push(entry);
        if (source.answer && await source.answer(entry, res)) return;
        const told = source.replies.get(`${req.method} ${url.pathname}`) ?? { status: 404, body: '' };
        const body = typeof told.body === 'string' ? told.body : JSON.stringify(told.body);
        res.writeHead(told.status, { 'Content-Type': 'application/json', ...told.headers }).end(body);
    };
    const listen = (port) => new Promise((done, fail) => {
        source.server = http.createServer((req, res) => serve(req, res).catch(() => res.destroy()));
        source.server.on('connection', (socket) => {
            sockets.add(socket);
            socket.once('close', () => sockets.delete(socket));
        });
        source.server.once('error', fail);
        source.server.listen(port, '127.0.0.1', done);
    });
    await listen(0);
    source.port = source.server.address().port;
    source.url = `http://127.0.0.1:${source.port}`;
    source.reply = (method, path, status, body = '', headers = {}) =>
        source.replies.set(`${method} ${path}`, { status, body, headers });
    source.take = () => source.requests.splice(0);
    source.down = () => new Promise((done) => {
        source.server.close(done);
        for (const socket of sockets) socket.destroy();
    });
    source.up = () => listen(source.port);
    return source;
}

let registrations = 0;
// A registration of entities (one or a list) at an endpoint, created on a server; gives its id.
export async function register(ld, endpoint, entities, more = {}) {
    const { propertyNames, relationshipNames, headers, ...rest } = more;
    const id = `urn:ngsi-ld:ContextSourceRegistration:${process.pid}:${++registrations}`;
    const res = await ld.post('/csourceRegistrations', {
        id, type: 'ContextSourceRegistration', endpoint,
        information: [{ entities: Array.isArray(entities) ? entities : [entities],
            ...(propertyNames && { propertyNames }), ...(relationshipNames && { relationshipNames }) }],
        ...rest
    }, { headers });
    if (res.status !== 201) throw new Error(`no registration: ${res.status} ${res.text}`);
    return id;
}
