package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

type faultFields Fault

// faultJSON adds what JSON writes as text.
type faultJSON struct {
	faultFields
	For        string `json:"for,omitempty"`
	RetryAfter string `json:"retry_after,omitempty"`
}

// MarshalJSON writes durations as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	out := faultJSON{faultFields: faultFields(f)}
	if f.For != 0 {
		out.For = f.For.String()
	}
	if f.RetryAfter != 0 {
		out.RetryAfter = f.RetryAfter.String()
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads a fault and validates it. Unknown fields are errors, and
// so is a share of 0, which would be none.
func (f *Fault) UnmarshalJSON(text []byte) error {
	var in faultJSON
	if err := strict(text, &in, "kind, endpoint, share, wallet, for, code, retry_after, ms, seconds, asset, top, variant, value"); err != nil {
		return err
	}
	out := Fault(in.faultFields)
	var given map[string]json.RawMessage
	if err := json.Unmarshal(text, &given); err != nil {
		return err
	}
	if _, there := given["share"]; there && out.Share == 0 {
		return errors.New("share: 0 hits nothing; leave it out to hit all")
	}
	for _, d := range []struct {
		name string
		text string
		into *time.Duration
	}{{"for", in.For, &out.For}, {"retry_after", in.RetryAfter, &out.RetryAfter}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.into, err = time.ParseDuration(d.text); err != nil || *d.into <= 0 {
			return fmt.Errorf("%s: %q is no duration above 0, like 90s or 10m", d.name, clip(d.text))
		}
	}
	if err := out.Validate(); err != nil {
		return err
	}
	*f = out
	return nil
}

// kindOf says what a field takes.
var kindOf = map[reflect.Kind]string{
	reflect.String: "a text", reflect.Int: "a whole number", reflect.Float64: "a number", reflect.Bool: "true or false", reflect.Slice: "a list",
}

// strict decodes one JSON object and nothing else. The error is one line that
// names the field.
func strict(text []byte, into any, fields string) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		field := wrong.Field[strings.LastIndexByte(wrong.Field, '.')+1:] // without the Go struct that it is embedded in
		return fmt.Errorf("%s: %s where %s is needed", field, wrong.Value, kindOf[wrong.Type.Kind()])
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		return fmt.Errorf("%s; the fields are %s", strings.TrimPrefix(err.Error(), "json: "), fields)
	case err != nil:
		return fmt.Errorf("not a JSON object with the fields %s", fields)
	case !errors.Is(decoder.Decode(&struct{}{}), io.EOF):
		return errors.New("there is more after the JSON object; one is needed")
	}
	return nil
}
