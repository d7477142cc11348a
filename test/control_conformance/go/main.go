// The Go client, driven in lines of JSON by the conformance script. ../README.md has the protocol.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	pb "conformance/gen/performance_optimizer/control/v1"
)

type declared struct {
	Type    string   `json:"type"`
	Default value    `json:"default"`
	Min     float64  `json:"min"`
	Max     float64  `json:"max"`
	Step    float64  `json:"step"`
	Scale   string   `json:"scale"`
	Values  []string `json:"values"`
	Applies string   `json:"applies"`
	Ceiling bool     `json:"ceilingAtBoot"`
}

type request struct {
	ID        int                 `json:"id"`
	Do        string              `json:"do"`
	Component string              `json:"component"`
	Address   string              `json:"address"`
	Knobs     map[string]declared `json:"knobs"`
	Knob      string              `json:"knob"`
	Spec      declared            `json:"spec"`
	Value     value               `json:"value"`
	Is        string              `json:"is"`
	Reason    string              `json:"reason"`
	Ms        int64               `json:"ms"`
}

type harness struct {
	client   *client
	knobs    map[string]*knob
	mu       sync.Mutex
	told     map[string][]value
	moods    map[string]request
	released chan struct{}
	jumped   time.Duration
}

func (h *harness) wall() time.Time { return time.Now().Add(h.jumped) }

func (h *harness) declare(id string, d declared) {
	s := spec{ID: id, Kind: d.Type, Default: d.Default, Min: d.Min, Max: d.Max, Step: d.Step, Log: d.Scale == "log", Values: d.Values, Applies: d.Applies, Ceiling: d.Ceiling}
	s.Default = s.normal(s.Default)
	h.told[id] = []value{}
	h.knobs[id] = h.client.declare(s, func(v value) error {
		h.mu.Lock()
		h.told[id] = append(h.told[id], v)
		mood, released := h.moods[id], h.released
		h.mu.Unlock()
		switch mood.Is {
		case "refuse":
			return errors.New(mood.Reason)
		case "refuse_for_now":
			return errNotNow{mood.Reason}
		case "hang":
			<-released
		}
		return nil
	})
}

func (h *harness) perform(r request) map[string]any {
	switch r.Do {
	case "connect":
		h.client = connect(r.Address, r.Component, pb.Tier_TIER_STABLE, h.wall)
		for id, d := range r.Knobs {
			h.declare(id, d)
		}
	case "declare":
		h.declare(r.Knob, r.Spec)
	case "read":
		values := map[string]value{}
		for id, k := range h.knobs {
			values[id] = h.client.read(k)
		}
		return map[string]any{"values": values}
	case "time_reads":
		return h.timeReads()
	case "set":
		if err := h.client.set(h.knobs[r.Knob], r.Value); err != nil {
			return map[string]any{"refused": err.Error()}
		}
	case "mood":
		h.mu.Lock()
		h.moods[r.Knob] = r
		h.mu.Unlock()
	case "release":
		h.mu.Lock()
		close(h.released)
		h.released = make(chan struct{})
		h.mu.Unlock()
	case "told":
		h.mu.Lock()
		defer h.mu.Unlock()
		return map[string]any{"values": h.told[r.Knob]}
	case "status":
		h.client.mu.Lock()
		defer h.client.mu.Unlock()
		return map[string]any{"connected": h.client.connected}
	case "jump_wall_clock":
		// The client measures leases with the monotonic reading of time.Now, which no program can move.
		h.jumped += time.Duration(r.Ms) * time.Millisecond
	case "close":
		h.client.close()
	default:
		return map[string]any{"failed": "cannot do " + r.Do}
	}
	return map[string]any{}
}

func (h *harness) timeReads() map[string]any {
	least, longest := time.Hour, time.Duration(0)
	for _, k := range h.knobs {
		for range 50 {
			start := time.Now()
			for range 1000 {
				h.client.read(k)
			}
			each := time.Since(start) / 1000
			least, longest = min(least, each), max(longest, each)
		}
		break
	}
	return map[string]any{"leastUs": float64(least.Nanoseconds()) / 1e3, "longestUs": float64(longest.Nanoseconds()) / 1e3}
}

func main() {
	h := &harness{knobs: map[string]*knob{}, told: map[string][]value{}, moods: map[string]request{}, released: make(chan struct{})}
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			panic(err)
		}
		answer := h.perform(r)
		answer["id"] = r.ID
		h.mu.Lock()
		out.Encode(answer)
		h.mu.Unlock()
	}
}
