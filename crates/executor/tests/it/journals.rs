//! What journals that fail in tests have in common.

/// Reading goes to the journal behind, in the field `inner`.
macro_rules! read_from_inner {
    () => {
        fn events<'a>(
            &'a self,
            rollout: &'a model::RolloutId,
            after: model::event::Seq,
            limit: usize,
        ) -> futures::future::BoxFuture<
            'a,
            Result<Vec<model::event::Event>, model::ports::JournalError>,
        > {
            self.inner.events(rollout, after, limit)
        }

        fn rollouts(
            &self,
        ) -> futures::future::BoxFuture<
            '_,
            Result<Vec<model::event::RolloutHead>, model::ports::JournalError>,
        > {
            self.inner.rollouts()
        }

        fn logins(
            &self,
        ) -> futures::future::BoxFuture<
            '_,
            Result<model::event::LoginMemory, model::ports::JournalError>,
        > {
            self.inner.logins()
        }

        fn durations(
            &self,
        ) -> futures::future::BoxFuture<
            '_,
            Result<Vec<model::event::StepDuration>, model::ports::JournalError>,
        > {
            self.inner.durations()
        }

        fn hostnames(
            &self,
        ) -> futures::future::BoxFuture<
            '_,
            Result<
                std::collections::BTreeMap<model::ApplianceName, String>,
                model::ports::JournalError,
            >,
        > {
            self.inner.hostnames()
        }
    };
}

pub(crate) use read_from_inner;
