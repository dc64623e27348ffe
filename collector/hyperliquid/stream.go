package hyperliquid

import (
	"encoding/json"
	"errors"
	"io"
)

// maxHeld bounds what is held in memory of the leaderboard at once: a row, or
// a value beside the rows. Real rows have 830 bytes.
const maxHeld = 1 << 20

// decodeLeaderboard reads the leaderboard row by row and keeps the first top.
func decodeLeaderboard(body io.Reader, top int) (Leaderboard, error) {
	return decodeBounded(&bounded{from: body, left: maxLeaderboardBody}, top)
}

func decodeBounded(source *bounded, top int) (Leaderboard, error) {
	decoder := json.NewDecoder(source)
	source.consumed = decoder.InputOffset
	first := newRanking(top)
	board := Leaderboard{}
	err := walkLeaderboard(decoder, func(row []byte) {
		board.RowsRead++
		entry, pnl, ok := readRow(row)
		if !ok {
			board.RowsSkipped++
			return
		}
		first.add(entry, pnl)
	})
	var typed *Error
	switch {
	case source.err != nil:
		// The decoder sees a body that breaks off as bad syntax.
		return Leaderboard{}, source.err
	case errors.As(err, &typed):
		return Leaderboard{}, err
	case err != nil:
		return Leaderboard{}, failure(Malformed, "read body: %w", err)
	}
	board.Entries = first.entries()
	return board, nil
}

// walkLeaderboard hands every row to each and is content only with one whole
// object that has one list of rows. A row is valid only during the call.
func walkLeaderboard(decoder *json.Decoder, each func(row []byte)) error {
	opening, err := decoder.Token()
	switch {
	case err != nil:
		return ended(err)
	case opening == nil:
		return failure(Null, "the leaderboard is null")
	case opening != json.Delim('{'):
		return failure(Schema, "the leaderboard is not an object")
	}
	var held json.RawMessage // reused, so that rows leave no garbage
	lists := 0
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return ended(err)
		}
		if name != "leaderboardRows" {
			if err := decoder.Decode(&held); err != nil {
				return ended(err)
			}
			continue
		}
		if lists++; lists > 1 {
			return failure(Schema, "the leaderboard has more than one leaderboardRows")
		}
		if err := walkRows(decoder, &held, each); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return ended(err)
	}
	switch _, err := decoder.Token(); {
	case err == nil:
		return errors.New("something follows the leaderboard")
	case err != io.EOF:
		return err
	case lists == 0:
		return failure(Schema, "the leaderboard has no leaderboardRows")
	}
	return nil
}

func walkRows(decoder *json.Decoder, held *json.RawMessage, each func(row []byte)) error {
	opening, err := decoder.Token()
	if err != nil {
		return ended(err)
	}
	if opening != json.Delim('[') {
		return failure(Schema, "leaderboardRows is not a list")
	}
	for decoder.More() {
		if err := decoder.Decode(held); err != nil {
			return ended(err)
		}
		each(*held)
	}
	_, err = decoder.Token() // the closing bracket
	return ended(err)
}

// ended keeps an end of the input in mid-value from looking like a good end.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// bounded reads a body for a decoder. It ends with an error when the body as a
// whole or what the decoder has not consumed of it grows too large, and
// remembers why reading failed.
type bounded struct {
	from     io.Reader
	consumed func() int64 // of the bytes handed out
	read     int64
	left     int64
	err      error
}

func (b *bounded) Read(p []byte) (int, error) {
	held := b.read - b.consumed()
	switch {
	case b.err != nil:
		return 0, b.err
	case held > maxHeld:
		b.err = failure(TooLarge, "one value of the leaderboard is over the limit of %d bytes", maxHeld)
		return 0, b.err
	case b.left <= 0:
		b.err = failure(TooLarge, "the body is over the limit of %d bytes", b.read)
		return 0, b.err
	}
	n, err := b.from.Read(p[:min(int64(len(p)), b.left, maxHeld+1-held)])
	b.read += int64(n)
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}
