// An independent client of the control channel, written from the proto files alone: it shares no code with the others and
// exists to show that the contract can be kept by whoever reads it. It is no library.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "conformance/gen/performance_optimizer/control/v1"
)

const method = "/performance_optimizer.control.v1.ControlService/Connect"

// errNotNow is returned by a listener that refuses for now only.
type errNotNow struct{ reason string }

func (e errNotNow) Error() string { return e.reason }

type fence struct{ epoch, revision uint64 }

func (f fence) below(other fence) bool {
	return f.epoch < other.epoch || (f.epoch == other.epoch && f.revision < other.revision)
}

// A pending command is applied, or waits to be.
type pending struct {
	command   *pb.Command
	nonce     string
	arrived   time.Time
	until     time.Time
	overtaken bool
}

type client struct {
	address, component, instance string
	tier                         pb.Tier
	incarnation                  uint64

	mu           sync.Mutex
	knobs        []*knob
	byID         map[string]*knob
	stream       grpc.ClientStream
	connected    bool
	closed       bool
	sessionEpoch uint64
	fence        fence
	lastSeen     uint64
	made         uint64
	answers      map[string][]*pb.KnobResult
	answered     []string
	current      *pending
	waiting      *pending
	redial       chan struct{}
	expiry       *time.Timer
}

func connect(address, component string, tier pb.Tier, wall func() time.Time) *client {
	c := &client{
		address: address, component: component, tier: tier, instance: rand.Text(),
		incarnation: uint64(wall().UnixMilli()),
		byID:        map[string]*knob{}, answers: map[string][]*pb.KnobResult{}, redial: make(chan struct{}, 1),
	}
	c.expiry = time.AfterFunc(time.Hour, c.expire)
	go c.run()
	return c
}

func (c *client) declare(s spec, listener func(value) error) *knob {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &knob{spec: s, listener: listener, held: held{value: s.normal(s.Default)}}
	c.knobs = append(c.knobs, k)
	c.byID[s.ID] = k
	if c.stream != nil {
		c.sayHello()
	} else {
		select {
		case c.redial <- struct{}{}:
		default:
		}
	}
	return k
}

// read never waits for the agent. A lease that has run out counts from that instant, whatever the timers do.
func (c *client) read(k *knob) value {
	c.mu.Lock()
	defer c.mu.Unlock()
	return k.inForce(time.Now()).value
}

func (k *knob) inForce(now time.Time) held {
	if k.lease == nil || now.Before(k.lease.until) {
		return k.held
	}
	switch {
	case k.lease.expiry == pb.OnExpiry_ON_EXPIRY_HOLD:
		return k.held
	case k.lease.expiry == pb.OnExpiry_ON_EXPIRY_LAST_GOOD && k.lastGood != nil:
		return *k.lastGood
	}
	return held{value: k.spec.normal(k.spec.Default)}
}

func (c *client) set(k *knob, v value) error {
	if why := k.spec.whyNot(v); why != "" {
		return errors.New(why)
	}
	if err := k.listener(k.spec.normal(v)); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.origin != nil {
		c.takenBack(k.origin, []*knob{k}, pb.KnobState_KNOB_STATE_SUPERSEDED, "was set by hand", false)
	}
	k.put(held{value: k.spec.normal(v)}, nil)
	k.manual = true
	c.send(&pb.ConnectRequest{Message: &pb.ConnectRequest_ManualOverride{ManualOverride: &pb.ManualOverride{Knob: k.spec.ID, Value: encode(k.spec.Kind, v)}}})
	return nil
}

func (k *knob) put(h held, l *lease) {
	k.held, k.lease = h, l
	k.generation++
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.sessionEpoch, c.connected = 0, false
	for _, k := range c.knobs {
		if k.origin != nil {
			k.put(held{value: k.spec.normal(k.spec.Default)}, nil)
			go k.listener(k.value)
		}
	}
	c.send(&pb.ConnectRequest{Message: &pb.ConnectRequest_Bye{Bye: &pb.Bye{Reason: "closed"}}})
	if c.stream != nil {
		c.stream.CloseSend()
	}
}

// run dials for ever, with exponential backoff of which half is left to chance.
func (c *client) run() {
	// A burst of declarations is one manifest.
	time.Sleep(20 * time.Millisecond)
	for failures := 0; ; failures++ {
		code := c.session()
		if c.isClosed() {
			return
		}
		if code == codes.OK {
			failures = 0
		}
		wait := min(8*time.Second, 200*time.Millisecond<<min(failures, 10))
		wait = wait/2 + time.Duration(mathrand.Int64N(int64(wait/2)))
		isRefused := code == codes.InvalidArgument || code == codes.FailedPrecondition
		if isRefused || code == codes.Aborted {
			wait = 8 * time.Second
		}
		timer := time.NewTimer(wait)
		if isRefused {
			// Not before the manifest has changed, or it is long ago.
			select {
			case <-timer.C:
			case <-c.redial:
			}
		} else {
			<-timer.C
		}
	}
}

func (c *client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// session returns OK when it had been welcomed, and otherwise what it ended with.
func (c *client) session() codes.Code {
	conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig())
	if err != nil {
		return codes.Unavailable
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return status.Code(err)
	}
	c.mu.Lock()
	c.stream, c.made = stream, 0
	select {
	case <-c.redial:
	default:
	}
	c.sayHello()
	c.mu.Unlock()
	welcomed := false
	for {
		response := &pb.ConnectResponse{}
		err = stream.RecvMsg(response)
		c.mu.Lock()
		if err != nil || c.closed {
			c.stream, c.connected, c.sessionEpoch = nil, false, 0
			c.mu.Unlock()
			if welcomed {
				return codes.OK
			}
			return status.Code(err)
		}
		if welcome := response.GetWelcome(); welcome != nil && !welcomed {
			welcomed = true
			go c.beat(ctx, stream, welcome.GetHeartbeatInterval().AsDuration())
		}
		c.handle(response)
		c.mu.Unlock()
	}
}

func (c *client) beat(ctx context.Context, stream grpc.ClientStream, interval time.Duration) {
	ticker := time.NewTicker(max(interval, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.mu.Lock()
			if c.stream == stream {
				c.send(&pb.ConnectRequest{Message: &pb.ConnectRequest_Heartbeat{Heartbeat: &pb.Heartbeat{Seq: c.made + 1}}})
			}
			c.mu.Unlock()
		}
	}
}

// send drops what finds no stream: the next Hello tells what is held.
func (c *client) send(request *pb.ConnectRequest) {
	if c.stream != nil {
		c.made++
		c.stream.SendMsg(request)
	}
}

func (c *client) sayHello() {
	hello := &pb.Hello{
		InstanceUid: c.instance, Incarnation: c.incarnation, Component: c.component, Tier: c.tier,
		Resource:         map[string]string{"service.name": c.component},
		Capabilities:     []pb.Capability{pb.Capability_CAPABILITY_VALIDATE_ONLY, pb.Capability_CAPABILITY_ATOMIC, pb.Capability_CAPABILITY_ON_EXPIRY},
		LastSeenRevision: c.lastSeen,
	}
	for _, k := range c.knobs {
		hello.Knobs = append(hello.Knobs, k.spec.encode())
	}
	hello.Held = c.held()
	c.send(&pb.ConnectRequest{Message: &pb.ConnectRequest_Hello{Hello: hello}})
}

func (c *client) held() []*pb.HeldKnob {
	entries := []*pb.HeldKnob{}
	for _, k := range c.knobs {
		current := k.inForce(time.Now())
		if current.origin == nil && !k.manual {
			continue
		}
		entry := &pb.HeldKnob{Knob: k.spec.ID, Value: encode(k.spec.Kind, current.value), Manual: k.manual}
		if current.origin != nil {
			entry.Epoch, entry.Revision = current.origin.epoch, current.origin.revision
		}
		entries = append(entries, entry)
	}
	return entries
}

func (c *client) handle(response *pb.ConnectResponse) {
	c.expireLocked()
	switch message := response.GetMessage().(type) {
	case *pb.ConnectResponse_Welcome:
		c.sessionEpoch, c.connected = message.Welcome.GetEpoch(), true
	case *pb.ConnectResponse_Command:
		if isSound(message.Command) {
			c.obey(message.Command)
		}
	case *pb.ConnectResponse_LeaseRenewal:
		if renewal := message.LeaseRenewal; renewal.GetEpoch() == c.sessionEpoch {
			c.renew(renewal.GetRevision(), time.Now().Add(renewal.GetLeaseTtl().AsDuration()))
			if c.current == nil {
				c.send(&pb.ConnectRequest{Message: &pb.ConnectRequest_Holding{Holding: &pb.Holding{Held: c.held()}}})
			}
		}
	case *pb.ConnectResponse_Revoke:
		if message.Revoke.GetEpoch() == c.sessionEpoch {
			c.revoke(message.Revoke)
		}
	case *pb.ConnectResponse_ReportFullState:
		c.sayHello()
	}
}

func isSound(command *pb.Command) bool {
	if command.GetCommandId() == "" || command.GetEpoch() > maxExact || command.GetRevision() > maxExact {
		return false
	}
	seen := map[string]bool{}
	for _, change := range command.GetChanges() {
		if _, ok := decode(change.GetValue()); !ok || seen[change.GetKnob()] {
			return false
		}
		seen[change.GetKnob()] = true
	}
	return true
}

func (c *client) renew(revision uint64, until time.Time) {
	for _, k := range c.knobs {
		if k.lease != nil && k.origin.epoch == c.sessionEpoch && k.origin.revision <= revision {
			k.lease.until, k.lease.renewed = until, true
		}
	}
	for _, p := range []*pending{c.current, c.waiting} {
		if p != nil && p.command.GetRevision() <= revision {
			p.until = until
		}
	}
	c.watch()
}

func (c *client) revoke(revoke *pb.Revoke) {
	upTo := fence{revoke.GetEpoch(), revoke.GetRevision()}
	if c.fence.below(upTo) {
		c.fence = upTo
	}
	covers := func(p *pending) bool {
		return p != nil && !upTo.below(fence{p.command.GetEpoch(), p.command.GetRevision()})
	}
	if covers(c.current) {
		c.current.overtaken = true
	}
	if covers(c.waiting) {
		c.dropWaiting(revoke.GetReason())
	}
	var gone []*knob
	for _, id := range revoke.GetKnobs() {
		k := c.byID[id]
		if k == nil || (k.origin != nil && upTo.below(fence{k.origin.epoch, k.origin.revision})) {
			continue
		}
		k.generation++
		if k.origin != nil {
			gone = append(gone, k)
		}
	}
	c.giveUp(gone, pb.KnobState_KNOB_STATE_ROLLED_BACK, revoke.GetReason())
}

func (c *client) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expireLocked()
}

func (c *client) expireLocked() {
	now := time.Now()
	var gone []*knob
	for _, k := range c.knobs {
		if k.lease == nil || now.Before(k.lease.until) {
			continue
		}
		if k.lease.expiry == pb.OnExpiry_ON_EXPIRY_HOLD {
			k.lease = nil
			c.takenBack(k.origin, []*knob{k}, pb.KnobState_KNOB_STATE_EXPIRED, "the lease ran out; held", true)
		} else {
			gone = append(gone, k)
		}
	}
	c.giveUp(gone, pb.KnobState_KNOB_STATE_EXPIRED, "the lease ran out")
	c.watch()
}

func (c *client) giveUp(knobs []*knob, state pb.KnobState, reason string) {
	byOrigin := map[*origin][]*knob{}
	for _, k := range knobs {
		byOrigin[k.origin] = append(byOrigin[k.origin], k)
		next := held{value: k.spec.normal(k.spec.Default)}
		if state == pb.KnobState_KNOB_STATE_EXPIRED {
			next = k.inForce(k.lease.until)
		}
		k.put(next, nil)
		k.lastGood = nil
		go k.listener(next.value)
	}
	for o, members := range byOrigin {
		c.takenBack(o, members, state, reason, true)
	}
}

// takenBack makes a replay truthful, and tells the agent.
func (c *client) takenBack(o *origin, knobs []*knob, state pb.KnobState, reason string, tell bool) {
	result := &pb.Result{CommandId: o.commandID}
	for _, k := range knobs {
		news := c.result(k.spec.ID, o.revision, state, reason)
		result.KnobResults = append(result.KnobResults, news)
		for i, old := range c.answers[o.commandID] {
			if old.GetKnob() == k.spec.ID {
				c.answers[o.commandID][i] = news
			}
		}
	}
	if tell {
		c.send(&pb.ConnectRequest{Message: &pb.ConnectRequest_Result{Result: result}})
	}
}

func (c *client) watch() {
	next := time.Now().Add(time.Hour)
	for _, k := range c.knobs {
		if k.lease != nil && k.lease.until.Before(next) {
			next = k.lease.until
		}
	}
	c.expiry.Reset(max(0, time.Until(next)))
}

func (c *client) result(id string, revision uint64, state pb.KnobState, problem string) *pb.KnobResult {
	made := &pb.KnobResult{Knob: id, State: state, AttemptedRevision: revision, Error: problem}
	if k := c.byID[id]; k != nil {
		made.EffectiveValue = encode(k.spec.Kind, k.value)
		if k.origin != nil {
			made.EffectiveRevision = k.origin.revision
		}
	}
	return made
}

func (c *client) obey(command *pb.Command) {
	id := command.GetCommandId()
	if results, known := c.answers[id]; known {
		c.send(resultOf(id, command.GetNonce(), results))
		return
	}
	for _, p := range []*pending{c.current, c.waiting} {
		if p != nil && p.command.GetCommandId() == id {
			p.nonce = command.GetNonce()
			return
		}
	}
	now := time.Now()
	p := &pending{command: command, nonce: command.GetNonce(), arrived: now, until: now.Add(command.GetLeaseTtl().AsDuration())}
	at := fence{command.GetEpoch(), command.GetRevision()}
	// An agent that lost its state counts from 1 again: obeyed once nothing of the old one's is held any more.
	if at.epoch == c.sessionEpoch && at.epoch < c.fence.epoch && c.current == nil && !c.leased() {
		c.fence = fence{at.epoch, 0}
	}
	if at.epoch != c.sessionEpoch || !c.fence.below(at) {
		c.refuse(p, fmt.Sprintf("stale: (%d, %d), the session is of epoch %d and the fence at (%d, %d)",
			at.epoch, at.revision, c.sessionEpoch, c.fence.epoch, c.fence.revision))
		return
	}
	c.lastSeen = at.revision
	if !command.GetValidateOnly() {
		c.fence = at
	}
	if c.current == nil {
		c.current = p
		go c.apply(p)
		return
	}
	c.current.overtaken = true
	c.dropWaiting("a newer command came first")
	c.waiting = p
}

func (c *client) leased() bool {
	for _, k := range c.knobs {
		if k.lease != nil {
			return true
		}
	}
	return false
}

func (c *client) dropWaiting(reason string) {
	if dropped := c.waiting; dropped != nil {
		c.waiting = nil
		c.refuse(dropped, reason)
	}
}

func (c *client) refuse(p *pending, reason string) {
	var results []*pb.KnobResult
	for _, change := range p.command.GetChanges() {
		results = append(results, c.result(change.GetKnob(), p.command.GetRevision(), pb.KnobState_KNOB_STATE_SUPERSEDED, reason))
	}
	c.answer(p, results)
}

func (c *client) answer(p *pending, results []*pb.KnobResult) {
	id := p.command.GetCommandId()
	c.answers[id] = results
	c.answered = append(c.answered, id)
	if len(c.answered) > 64 {
		delete(c.answers, c.answered[0])
		c.answered = c.answered[1:]
	}
	c.send(resultOf(id, p.nonce, results))
}

func resultOf(id, nonce string, results []*pb.KnobResult) *pb.ConnectRequest {
	return &pb.ConnectRequest{Message: &pb.ConnectRequest_Result{Result: &pb.Result{CommandId: id, Nonce: nonce, KnobResults: results}}}
}

// A step is what has become of one change.
type step struct {
	change     *pb.KnobChange
	state      pb.KnobState
	problem    string
	generation int
	asked      bool
}

func (s *step) fail(state pb.KnobState, problem string) { s.state, s.problem = state, problem }

// apply puts one command in force, waiting for listeners without holding the mutex.
func (c *client) apply(p *pending) {
	command := p.command
	isAll := command.GetAtomicity() == pb.Atomicity_ATOMICITY_ALL
	c.mu.Lock()
	defer c.mu.Unlock()
	var steps []*step
	blocked := false
	for _, change := range command.GetChanges() {
		s := &step{change: change}
		c.check(s)
		blocked = blocked || (isAll && s.state != 0)
		steps = append(steps, s)
	}
	o := &origin{command.GetCommandId(), command.GetEpoch(), command.GetRevision()}
	for _, s := range steps {
		if s.state != 0 || blocked || command.GetValidateOnly() {
			continue
		}
		c.ask(p, s)
		blocked = isAll && s.state != 0
		if s.state == 0 && !isAll {
			c.commit(p, s, o)
		}
	}
	if isAll && !command.GetValidateOnly() {
		for _, s := range steps {
			if s.state == 0 && s.asked && c.byID[s.change.GetKnob()].generation != s.generation {
				s.fail(pb.KnobState_KNOB_STATE_SUPERSEDED, "something else came first")
				blocked = true
			}
		}
		for _, s := range steps {
			if s.state != 0 || !s.asked {
				continue
			}
			if k := c.byID[s.change.GetKnob()]; blocked {
				go k.listener(k.value)
			} else {
				c.commit(p, s, o)
			}
		}
	}
	var results []*pb.KnobResult
	for _, s := range steps {
		k := c.byID[s.change.GetKnob()]
		if s.state == 0 && blocked {
			s.fail(pb.KnobState_KNOB_STATE_ROLLED_BACK, "another change of the command was refused")
		} else if s.state == 0 && s.asked && k.generation != s.generation {
			s.fail(pb.KnobState_KNOB_STATE_SUPERSEDED, "something else came first")
		} else if s.state == 0 {
			s.state = pb.KnobState_KNOB_STATE_APPLIED
		}
		results = append(results, c.result(s.change.GetKnob(), command.GetRevision(), s.state, s.problem))
	}
	c.answer(p, results)
	c.current, c.waiting = c.waiting, nil
	if c.current != nil {
		go c.apply(c.current)
	}
}

// check is what speaks against a change before anybody is asked.
func (c *client) check(s *step) {
	k := c.byID[s.change.GetKnob()]
	if k == nil {
		s.fail(pb.KnobState_KNOB_STATE_REJECTED_PERMANENT, "there is no such knob")
		return
	}
	v, _ := decode(s.change.GetValue())
	if k.spec.Applies == "restart" {
		s.fail(pb.KnobState_KNOB_STATE_REJECTED_PERMANENT, "only a restart can change this knob")
	} else if why := k.spec.whyNotTunable(v); why != "" {
		s.fail(pb.KnobState_KNOB_STATE_REJECTED_PERMANENT, why)
	} else if expected, ok := decode(s.change.GetExpectedCurrent()); !ok && k.manual {
		s.fail(pb.KnobState_KNOB_STATE_REJECTED_TRANSIENT, "was set by hand")
	} else if ok && k.spec.normal(expected) != k.value {
		s.fail(pb.KnobState_KNOB_STATE_REJECTED_TRANSIENT, fmt.Sprintf("holds %v, not %v", k.value, expected))
	}
}

func (c *client) ask(p *pending, s *step) {
	c.expireLocked()
	if p.overtaken {
		s.fail(pb.KnobState_KNOB_STATE_SUPERSEDED, "a newer command came first")
		return
	}
	if c.check(s); s.state != 0 {
		return
	}
	k := c.byID[s.change.GetKnob()]
	deadline := p.command.GetApplyDeadline().AsDuration()
	if slow, ok := map[string]pb.KnobState{"drain": pb.KnobState_KNOB_STATE_DRAINING, "reload": pb.KnobState_KNOB_STATE_APPLYING}[k.spec.Applies]; ok {
		deadline *= 10
		under := c.result(k.spec.ID, p.command.GetRevision(), slow, "")
		c.send(resultOf(p.command.GetCommandId(), p.nonce, []*pb.KnobResult{under}))
	}
	s.asked, s.generation = true, k.generation
	v, _ := decode(s.change.GetValue())
	said := make(chan error, 1)
	go func() { said <- k.listener(k.spec.normal(v)) }()
	timer := time.NewTimer(time.Until(p.arrived.Add(deadline)))
	defer timer.Stop()
	c.mu.Unlock()
	select {
	case err := <-said:
		c.mu.Lock()
		var notNow errNotNow
		if errors.As(err, &notNow) {
			s.fail(pb.KnobState_KNOB_STATE_REJECTED_TRANSIENT, notNow.reason)
		} else if err != nil {
			s.fail(pb.KnobState_KNOB_STATE_REJECTED_PERMANENT, err.Error())
		} else if k.generation != s.generation {
			s.fail(pb.KnobState_KNOB_STATE_SUPERSEDED, "something else came first")
			go k.listener(k.value)
		}
	case <-timer.C:
		c.mu.Lock()
		s.fail(pb.KnobState_KNOB_STATE_REJECTED_TRANSIENT, "the listener has not answered by the deadline")
		go func() {
			if <-said == nil {
				k.listener(c.read(k))
			}
		}()
	}
}

func (c *client) commit(p *pending, s *step, o *origin) {
	k := c.byID[s.change.GetKnob()]
	v, _ := decode(s.change.GetValue())
	k.lastGood = nil
	if k.lease != nil && k.lease.renewed {
		good := k.held
		k.lastGood = &good
	}
	until := p.until
	if fresh := time.Now().Add(p.command.GetLeaseTtl().AsDuration()); c.sessionEpoch == o.epoch && fresh.After(until) {
		until = fresh
	}
	k.put(held{k.spec.normal(v), o}, &lease{until: until, expiry: p.command.GetOnExpiry()})
	k.manual = false
	s.generation = k.generation
	c.watch()
}
