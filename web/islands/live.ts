// The stream of changes (/link/v1/stream, Server-Sent Events) as plain objects.

export interface Change {
    op: 'created' | 'updated' | 'deleted' | 'reset'; // reset: too much was missed, look again
    id: string;
    type: string;
    name: string;
    status: string;
    changed: string[];
    point: [number, number] | undefined;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function member(value: Json | undefined, key: string): Json | undefined {
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value[key] : undefined;
}

function plain(value: Json | undefined): string {
    return typeof value === 'string' ? value : '';
}

function pointIn(entity: Json | undefined): [number, number] | undefined {
    const location = member(entity, 'location');
    const at = member(location, 'coordinates');
    if (member(location, 'type') !== 'Point' || !Array.isArray(at)) return undefined;
    const [lon, lat] = at;
    return typeof lon === 'number' && typeof lat === 'number' ? [lon, lat] : undefined;
}

function short(name: string): string {
    return name.split(/[/#]/).pop() ?? name;
}

function read(data: string): Change {
    const event = JSON.parse(data) as Json;
    const entity = member(event, 'entity');
    const types = member(event, 'type') ?? member(entity, 'type');
    const changed = member(event, 'changed');
    const op = plain(member(event, 'op'));
    return {
        op: op === 'created' || op === 'deleted' || op === 'reset' ? op : 'updated',
        id: plain(member(event, 'id')),
        type: short(plain(Array.isArray(types) ? types[0] : types)),
        name: plain(member(entity, 'name')),
        status: plain(member(entity, 'status')),
        changed: Array.isArray(changed) ? changed.map((item) => short(plain(item))) : [],
        point: pointIn(entity),
    };
}

export function followChanges(types: string[], onChange: (change: Change) => void, onState: (connected: boolean) => void): void {
    const stream = new EventSource(`/link/v1/stream?format=simplified&type=${types.map(encodeURIComponent).join(',')}`);
    const take = (event: MessageEvent<string>): void => onChange(read(event.data));
    stream.addEventListener('entity', take);
    stream.addEventListener('reset', take);
    stream.addEventListener('open', () => onState(true));
    stream.addEventListener('error', () => onState(false));
    addEventListener('pagehide', () => stream.close());
}
