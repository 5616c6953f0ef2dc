//! Every fault in every format, whole and streamed; every coding and cut.

use pointsman_testbed::{Chunking, Coding, Fault, ServedOutcome, SimOptions, SimServer};

use crate::client::{FORMATS, Format, header_of};

const SAID: &str = "word word word word word word";

#[tokio::test]
async fn every_fault_strikes_in_every_format() {
    // Stalls take their time: the formats wait side by side, each at a provider of its own.
    let all = FORMATS.map(|format| tokio::spawn(every_fault(format)));
    for one in all {
        one.await.unwrap();
    }
}

async fn every_fault(format: Format) {
    let sim = SimServer::local(SimOptions::default()).await.unwrap();
    for stream in [false, true] {
        for fault in Fault::ALL {
            let context = format!("{} stream={stream} {fault}", format.name);
            sim.clear();
            let body = format.body("repeat 6 words", stream);
            let heard = format.ask(sim.address(), &fault.to_string(), stream, &body).await;
            let Some(heard) = heard else {
                assert!(
                    matches!(fault, Fault::ResetBeforeHead | Fault::StallBeforeHead),
                    "{context}: no answer"
                );
                continue;
            };
            match fault {
                Fault::RateLimited(_) => {
                    assert_eq!(heard.status, 429, "{context}");
                    assert_eq!(header_of(&heard, "retry-after"), "1", "{context}");
                    assert!(!format.error(&heard).is_empty());
                    continue;
                }
                Fault::Status(status) => {
                    assert_eq!(heard.status, status, "{context}");
                    assert!(!format.error(&heard).is_empty());
                    continue;
                }
                _ => assert_eq!(heard.status, 200, "{context}"),
            }
            let told = heard
                .body
                .as_ref()
                .map(|body| String::from_utf8_lossy(body).into_owned());
            let whole = told.as_ref().is_some_and(|told| told.contains(format.end));
            // An event in the middle that is no event does not end a stream.
            assert_eq!(
                whole && stream,
                stream && fault == Fault::MalformedEvent,
                "{context}: {told:?}"
            );
            if fault == Fault::ErrorEvent && !stream {
                assert!(!format.error(&heard).is_empty(), "{context}");
            }
            for served in sim.served() {
                let outcome = served.outcome;
                let odd = outcome == ServedOutcome::Complete && fault != Fault::MalformedEvent;
                assert!(!odd, "{context}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_told_is_what_is_recorded_in_every_shape() {
    for (coding, chunking, crlf) in [
        (Coding::None, Chunking::Events, false),
        (Coding::None, Chunking::Bytes(3), true),
        (Coding::Gzip, Chunking::Bytes(11), false),
    ] {
        let options = SimOptions {
            coding,
            chunking,
            crlf,
            ..SimOptions::default()
        };
        let sim = SimServer::local(options).await.unwrap();
        for format in FORMATS {
            for stream in [false, true] {
                sim.clear();
                let body = format.body("repeat 6 words", stream);
                let heard = format.ask(sim.address(), "", stream, &body).await.unwrap();
                assert_eq!(
                    header_of(&heard, "content-encoding"),
                    coding.name().unwrap_or_default()
                );
                if coding == Coding::None && !stream {
                    assert_eq!(format.answer(&heard), SAID, "{}", format.name);
                }
                let served = &sim.served()[0];
                assert_eq!(
                    (served.outcome, served.output),
                    (ServedOutcome::Complete, 11),
                    "{}",
                    format.name
                );
                assert!(served.input > 0);
                // Chat completions tell the usage of a stream only when they are asked to.
                assert_eq!(
                    served.told.is_none(),
                    stream && format.name == "openai",
                    "{}",
                    format.name
                );
            }
        }
    }
}
