// receiver.mjs - somebody who is notified.
//
//     const receiver = await startReceiver();
//     subscribe with receiver.url + '/name'; then receiver.got('name') are the bodies in order
//     each is { name, method, headers, text, body (when it is JSON) }
//     receiver.answer = () => 503;     // status for each request, or a promise of one
//     await receiver.down(); await receiver.up();   // the same port
import http from 'node:http';

export async function startReceiver(port = 0) {
    const receiver = { all: [], answer: () => 204, count: 0 };
    const sockets = new Set();
    const byPath = new Map();
    const take = async (req, res) => {
        const parts = [];
        for await (const part of req) parts.push(part);
        const status = await receiver.answer(req);
        receiver.count++;
        if (status >= 200 && status < 300) {
            const name = req.url.slice(1);
            const text = Buffer.concat(parts).toString();
            const entry = { name, method: req.method, headers: req.headers, text, body: undefined };
            try { entry.body = JSON.parse(text); } catch { /* not JSON: see text */ }
            if (!byPath.has(name)) byPath.set(name, []);
            byPath.get(name).push(entry);
            receiver.all.push(entry);
        }
        res.writeHead(status).end();
    };
    const listen = (at) => new Promise((done, fail) => {
        receiver.server = http.createServer((req, res) => take(req, res).catch(() => res.destroy()));
        receiver.server.keepAliveTimeout = 60000;
        receiver.server.on('connection', (socket) => {
            sockets.add(socket);
            socket.once('close', () => sockets.delete(socket));
        });
        receiver.server.once('error', fail);
        receiver.server.listen(at, '127.0.0.1', done);
    });
    await listen(port);
    receiver.port = receiver.server.address().port;
    receiver.url = `http://127.0.0.1:${receiver.port}`;
    receiver.got = (name) => byPath.get(name) ?? [];
    receiver.down = () => new Promise((done) => {
        receiver.server.close(done);
        for (const socket of sockets) socket.destroy();
    });
    receiver.up = () => listen(receiver.port);
    return receiver;
}
