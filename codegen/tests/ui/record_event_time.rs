use pelton_codegen as pelton;

struct EventTime(i64);

#[pelton::record]
struct NotATime {
    #[event_time]
    at: i64,
}

#[pelton::record]
struct Optional {
    #[event_time]
    at: Option<EventTime>,
}

#[pelton::record]
struct Twice {
    #[event_time]
    begin: EventTime,
    #[event_time]
    end: EventTime,
}

#[pelton::record]
struct OnOne {
    #[event_time]
    #[event_time]
    at: EventTime,
}

#[pelton::record]
struct WithArguments {
    #[event_time(lateness = 5)]
    at: EventTime,
}

fn main() {}
