// The job `deploy`: deploys images that `build` has pushed, or rolls back. Started by hand only, and separate from `build`, so
// that a rollback does not wait for a build. Written for the plugin job-dsl.
pipelineJob('deploy') {
  description('Deploys what `build` has pushed (TAG), or rolls back. Its name is the ACTION of the Jenkinsfile, unless that is set.')
  definition {
    cpsScm {
      scm {
        git {
          remote {
            url(GIT_URL)
            credentials('git')
          }
          branch('main')
        }
      }
      scriptPath('Jenkinsfile')
    }
  }
}
