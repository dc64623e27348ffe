package simulator

import "github.com/whalegate/whalegate/internal/asset"

// limit is how many times its base a position grows at most, so that sizes
// stay plausible over weeks.
const limit = 3

// trade is the position after one minute, for a wallet of a temper whose
// positions move around base.
func trade(t temper, size, base asset.Size, m mood, c chance) asset.Size {
	switch t {
	case empty:
		return 0
	case maker:
		return quote(size, base, c)
	case flipper:
		if m.swap = 1.0 / 40; m.side != 0 {
			m.side = 0 // it has no eye for trends
		}
		m.cut = 0
	case holder:
		if !m.strong {
			return size
		}
		m.add, m.join, m.cut, m.idle = m.add/2, 0, 0, 0
	case contrarian:
		m.side, m.add = -m.side, m.add/2
		if m.strong {
			m.add, m.join = 0, 0
		}
	}
	return follow(size, base, m, c)
}

// follow does at most one thing a minute.
func follow(size, base asset.Size, m mood, c chance) asset.Size {
	side := sign(size)
	mind := c.of(0).float()
	switch {
	case m.side != 0 && side == m.side:
		if mind < m.add {
			return grow(size, base, c.of(2))
		}
	case m.side != 0:
		if mind < m.join {
			return enter(m.side, base, c.of(2))
		}
	case mind < m.swap && side != 0:
		return enter(-side, base, c.of(2))
	}
	switch mind := c.of(1).float(); {
	case size == 0:
		if mind < m.idle/4 {
			return enter(1-2*int64(c.of(2)&1), base, c.of(3))
		}
	case mind < m.cut:
		return cut(size, base, c.of(2))
	case mind < m.cut+m.idle:
		return rebalance(size, base, c.of(2))
	}
	return size
}

// grow adds similar small shares, 2.6–3.8 %: above the 2 % of the median below
// which a change means nothing, and alike enough to count as agreement.
func grow(size, base asset.Size, c chance) asset.Size {
	if size.Abs() > limit*base {
		return size
	}
	step := scale(max(size.Abs(), base), c.between(260, 380))
	return size + step*asset.Size(sign(size))
}

func enter(side int64, base asset.Size, c chance) asset.Size {
	return asset.Size(side) * scale(base, c.between(6_000, 11_000))
}

// cut takes the more off, the more there is; a few leave altogether.
func cut(size, base asset.Size, c chance) asset.Size {
	switch {
	case c.of(0).hits(0.05):
		return 0
	case size.Abs() > base+base/2:
		return size - scale(size, c.of(1).between(2_500, 4_500))
	}
	return size - scale(size, c.of(1).between(700, 1_800))
}

// rebalance pulls towards base from far away and goes either way near it.
func rebalance(size, base asset.Size, c chance) asset.Size {
	step := scale(size, c.of(0).between(300, 1_000))
	switch {
	case size.Abs() > base+base/5:
		return size - step
	case size.Abs() < base-base/5:
		return size + step
	}
	if c.of(1)&1 == 0 {
		return size - step
	}
	return size + step
}

// quote trembles around the base by less than what counts as a change, and
// every few hours stands on the other side.
func quote(size, base asset.Size, c chance) asset.Size {
	side := sign(size)
	if side == 0 {
		side = 1
	}
	if c.of(0).hits(1.0 / 400) {
		side = -side
	}
	return asset.Size(side) * scale(base, c.of(1).between(9_920, 10_080))
}

func sign(size asset.Size) int64 {
	switch {
	case size > 0:
		return 1
	case size < 0:
		return -1
	}
	return 0
}
