// edge.mjs - a city, its edge nodes, and the lines between them.
//
//     const city = await startCity();
//     const node = await startEdge(city, 'shelter-1', { args: ['--edge.types=OpenShelter'] });
//     node.line.cut(); ... node.line.mend();
//     await together(city, node);
import net from 'node:net';
import { eventually, startCity } from './city.mjs';

// A line to a port of this machine that can be cut: what is under way breaks off, what comes is
// refused. rate: bytes a second that it carries, both directions together; 0: all.
export class Line {
    whole = true;
    sockets = new Set();
    bytes = 0;
    rate = 0;
    free = 0; // when it has carried what it was given

    async open(port, at = 0) {
        this.to = port;
        this.server = net.createServer((near) => this.join(near));
        await new Promise((done) => this.server.listen(at, '127.0.0.1', done));
        this.port = this.server.address().port;
        this.url = `http://127.0.0.1:${this.port}`;
        return this;
    }

    join(near) {
        if (!this.whole) return void near.destroy();
        const far = net.connect(this.to, '127.0.0.1');
        for (const [one, other] of [[near, far], [far, near]]) {
            this.sockets.add(one);
            one.on('data', (piece) => this.carry(one, other, piece));
            one.on('end', () => this.later(() => other.end()));
            one.on('error', () => other.destroy());
            one.on('close', () => { this.sockets.delete(one); other.destroy(); });
        }
    }

    later(act) {
        const wait = this.free - Date.now();
        if (wait > 0) setTimeout(act, wait);
        else act();
    }

    carry(one, other, piece) {
        this.bytes += piece.length;
        if (!this.rate) return void other.write(piece);
        one.pause();
        this.free = Math.max(this.free, Date.now()) + piece.length * 1000 / this.rate;
        this.later(() => { if (!other.destroyed) other.write(piece); one.resume(); });
    }

    cut() {
        this.whole = false;
        for (const socket of this.sockets) socket.destroy();
    }

    mend() { this.whole = true; }

    close() {
        this.cut();
        this.server.close();
    }
}

// Enrols a node and starts it behind a line of its own.
export async function startEdge(city, name, options = {}) {
    const enrolled = await city.post('/link/v1/sync/nodes', { name });
    if (enrolled.status !== 201) throw new Error(`${enrolled.status} ${enrolled.text}`);
    const line = await new Line().open(city.port);
    line.rate = options.rate ?? 0;
    const args = ['--edge', '--upstream', line.url, `--edge.token=${enrolled.json.token}`, '--edge.poll_s=1',
        ...(options.args ?? [])];
    const node = await startCity({ ...options, args });
    node.line = line;
    node.args = args;
    const stop = node.stop;
    node.stop = async () => {
        const end = await stop();
        line.close();
        return end;
    };
    return node;
}

export async function upstream(node) {
    return (await node.get('/link/v1/sync/nodes')).json.upstream;
}

// since: where evolution is compared from, as another digest says; else as that side has it.
export async function digest(city, params = '', since = null) {
    const more = since === null ? params : `${params}${params ? '&' : '?'}since=${since}`;
    const { status, json, text } = await city.get(`/link/v1/sync/digest${more}`);
    if (status !== 200) throw new Error(`${status} ${text}`);
    return json;
}

// Waits until nothing is left to exchange and both digests are equal. params: the node's part, as
// the city is asked for it.
export async function together(city, node, params = '', ms = 60000) {
    let last = '';
    await eventually(async () => {
        const state = await upstream(node);
        const there = await digest(node);
        const here = await digest(city, params, there.since);
        last = `${JSON.stringify(state)} ${here.digest} ${here.states} ${here.entities} ${there.digest} ${there.states} ${there.entities}`;
        return state.state === 'together' && state.waiting === 0 && here.digest === there.digest;
    }, ms, 100).catch(() => { throw new Error(`not together: ${last}`); });
}
