// The drawn chart, to look at closely: the figures come from the table beside it.
import uPlot from 'uplot';

function readTable(table: HTMLTableElement): [number[], number[]] {
    const rows = [...table.querySelectorAll<HTMLTableRowElement>('tbody tr')].reverse();
    return [rows.map((row) => Number(row.dataset['at'])), rows.map((row) => Number(row.dataset['value']))];
}

function explore(figure: HTMLElement, table: HTMLTableElement): void {
    const drawing = figure.querySelector('svg');
    if (!drawing) return;
    const style = getComputedStyle(document.documentElement);
    const colour = style.getPropertyValue('--key').trim();
    const line = style.getPropertyValue('--line-soft').trim();
    const box = document.createElement('div');
    drawing.replaceWith(box);
    const width = (): number => figure.clientWidth;
    const axis = { grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    const chart = new uPlot(
        {
            width: width(),
            height: 320,
            legend: { live: true },
            tzDate: (at) => uPlot.tzDate(new Date(at * 1000), 'Asia/Tokyo'),
            series: [
                { value: '{YYYY}-{MM}-{DD} {HH}:{mm}', label: table.dataset['time'] ?? '' },
                { label: table.dataset['label'] ?? '', stroke: colour, width: 2 },
            ],
            axes: [
                {
                    ...axis,
                    values: [
                        [86400, '{M}/{D}', null, null, null, null, null, null, 1],
                        [60, '{H}:{mm}', '\n{M}/{D}', null, '\n{M}/{D}', null, null, null, 1],
                    ],
                },
                axis,
            ],
        },
        readTable(table),
        box,
    );
    addEventListener('resize', () => chart.setSize({ width: width(), height: 320 }));
}

const figure = document.getElementById('chart');
const table = document.getElementById('chart-data');
if (figure && table instanceof HTMLTableElement) {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'button button-line';
    button.textContent = figure.dataset['enlarge'] ?? '';
    button.addEventListener('click', () => {
        explore(figure, table);
        const hint = document.createElement('p');
        hint.className = 'small';
        hint.tabIndex = -1;
        hint.textContent = figure.dataset['hint'] ?? '';
        button.replaceWith(hint);
        hint.focus();
    });
    figure.after(button);
}
