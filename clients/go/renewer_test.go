package sessiongateway

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestAShortSessionDoesNotHaveLongOnesRenewedMoreOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timeouts := map[string]int32{"short": 1}
		for n := range 50 {
			timeouts[fmt.Sprint("long_", n)] = 3600
		}
		r, gateway := newRenewals(timeouts)
		defer gateway.client(t).Sessions.StreamKeepalive(slices.Collect(maps.Keys(timeouts))...).Close()
		time.Sleep(time.Hour)
		// Every 16 minutes, or up to a tenth of that earlier; and once at the beginning.
		if _, times := r.seen("long_0"); times != 5 {
			t.Errorf("a session of an hour was renewed %d times in one", times)
		}
		if _, times := r.seen("short"); times < 3*3600 || times > 4*3600 {
			t.Errorf("a session of a second was renewed %d times in an hour", times)
		}
	})
}

func TestSessionsThatAreDueAboutTheSameTimeAreAskedAboutTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, gateway := newRenewals(map[string]int32{"a": 300, "b": 300})
		client := gateway.client(t)
		defer client.Sessions.StreamKeepalive("a").Close()
		time.Sleep(5 * time.Second)
		defer client.Sessions.StreamKeepalive("b").Close()
		time.Sleep(time.Hour)
		r.mu.Lock()
		defer r.mu.Unlock()
		a, b := r.asked["a"], r.asked["b"]
		if !a[len(a)-1].Equal(b[len(b)-1]) {
			t.Error(a[len(a)-1], b[len(b)-1])
		}
	})
}

func TestASessionWhoseRecordCannotBeReachedIsAskedAboutAgainAndIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, gateway := newRenewals(map[string]int32{"a": 60, "b": 60})
		r.unreachable = 7 * time.Second
		begun := time.Now()
		time.AfterFunc(30*time.Second, r.reach)
		stream := gateway.client(t).Sessions.StreamKeepalive("a", "b")
		for range 2 {
			if event, err := stream.Next(t.Context()); err != nil || event.Err != nil {
				t.Fatal(event, err)
			}
		}
		// Asked after 0, 7, 14, 21, 28 and 35 seconds.
		if waited := time.Since(begun); waited != 35*time.Second {
			t.Errorf("renewed after %v", waited)
		}
		if streams, times := r.seen("a"); streams != 1 || times != 6 {
			t.Error(streams, times)
		}
	})
}

func TestAHandleOutlivesAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		r, _ := newRenewals(map[string]int32{"sess_a": 60})
		r.unreachable = time.Second
		gateway.keepalive = r.serve
		session := gateway.client(t).Session("kv", WithKeepalive())
		if _, err := session.Call(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		r.reach()
		_, before := r.seen("sess_a")
		time.Sleep(time.Minute)
		if _, times := r.seen("sess_a"); session.LostReason() != nil || before < 20 || times-before > 5 {
			t.Error(session.LostReason(), before, times)
		}
		r.become("sess_a", 0)
		<-session.Lost()
	})
}
