package simulator

import (
	"encoding/json"
	"strings"
)

// row is what the leaderboard says of one wallet; numbers are texts, because
// faults put into them what is no number.
type row struct {
	address string
	account string
	windows []window
	name    []byte // JSON
	prize   string
}

type window struct{ name, profit, roi, volume string }

// hostile are display names that somebody chose with a reader in mind.
var hostile = []string{
	`<script>alert("whale")</script>`,
	`'; DROP TABLE wallet_universe_current; --`,
	"\u202eelahw eht\u202c",
	"two\nlines\tand a \x00 byte",
	strings.Repeat("very long ", 60),
	`"quoted" \ & {{.Name}} ${HOME}`,
	`[click](https://example.com) *bold* <!channel> @everyone`,
	"鯨 🐋 حوت",
	"",
}

// row of a rank with its month's profit.
func (e *Exchange) row(rank int, month float64, edition int64) row {
	w := &e.wallets[rank]
	draw := w.chance.of(6)
	volume := w.volume()
	account := e.value(rank, edition)
	r := row{address: w.address.String(), account: places(account), name: []byte("null"), prize: "0"}
	if draw.of(1).hits(0.06) {
		r.address = w.address.mixedCase()
	}
	switch kind := draw.of(2).below(100); {
	case kind < 3:
		r.name, _ = json.Marshal(hostile[draw.of(3).below(len(hostile))])
	case kind < 15:
		r.name = []byte(`"trader-` + w.address.String()[2:8] + `"`)
	}
	if draw.of(4).hits(0.001) {
		r.prize = "1500"
	}
	today := draw.of(5).of(uint64(edition))
	add := func(name string, profit, share float64) {
		r.windows = append(r.windows, window{name, places(profit), places(profit / account), places(volume * share)})
	}
	add("day", month*0.06*today.of(0).normal(), 0.03)
	add("week", month*(0.25+0.3*draw.of(6).normal()), 0.22)
	if !e.noMonth(rank) {
		add("month", month, 1)
	}
	add("allTime", month*(2+4*draw.of(7).normal()), 9)
	if draw.of(8).hits(0.01) {
		for i, j := range []int{2, 0, 1} {
			r.windows[i], r.windows[j] = r.windows[j], r.windows[i]
		}
	}
	return r
}

// append writes the row, spread over lines: the real file measures some 800
// bytes a row.
func (r row) append(b []byte) []byte {
	b = append(b, "  {\n   \"ethAddress\": \""+r.address+"\",\n   \"accountValue\": \""+r.account+"\",\n   \"windowPerformances\": [\n"...)
	for i, w := range r.windows {
		if i > 0 {
			b = append(b, ",\n"...)
		}
		b = append(b, "    [\n     \""+w.name+"\",\n     {\n      \"pnl\": \""+w.profit+"\",\n      \"roi\": \""+w.roi+"\",\n      \"vlm\": \""+w.volume+"\"\n     }\n    ]"...)
	}
	b = append(b, "\n   ],\n   \"prize\": "+r.prize+",\n   \"displayName\": "...)
	return append(append(b, r.name...), "\n  }"...)
}
